"""Protocols: what a coordinator may write, and what is told where it is wrong."""

from collections.abc import Sequence

import numpy as np
import pytest

from foveate.annotate.domain.protocol import COLOURS, READY, Protocol
from foveate.core.labels import LabelSchema, Question

KNOWN = LabelSchema((Question("grade", ("0", "1", "2"), ordered=True),), ("exudate", "disc"))
ONE = '[[findings]]\nname = "exudate"\nmarks = ["brush"]\n'


@pytest.mark.parametrize("name", [p.stem for p in READY.glob("*.toml")])
def test_ready_protocols_make_a_schema_of_any_manifest(name: str) -> None:
    protocol = Protocol.read(name)
    schema = protocol.asks(LabelSchema())
    assert schema.labels == tuple(f.name for f in protocol.findings)
    page = protocol.page(schema)
    assert all(f["colour"] and f["title"] for f in page["findings"])
    assert "extends" not in page


def test_two_are_ready_and_say_what_their_papers_do() -> None:
    lesions, regions = Protocol.read("lesions_and_grade"), Protocol.read("regions_of_findings")
    assert (len(lesions.findings), lesions.guideline.on, lesions.consensus.undecided) == (8, True, "adjudicate")
    assert all(f.marks == ("ellipse", "polygon") for f in lesions.findings)
    assert all(f.marks == ("regions",) and f.question == f.name for f in regions.findings)
    assert (regions.annotators, regions.consensus.at_least, regions.consensus.undecided) == (3, 2, "unknown")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[findings]]\nname = "exudat"\nmarks = ["brush"]',
            "must be one of the manifest's labels ['exudate', 'disc'], got 'exudat'",
        ),
        (ONE + '[[questions]]\nname = "quality"', "got 'quality'"),
        (ONE + '[[questions]]\nname = "grade"\nanswers = ["a", "b"]', "leave them out"),
        (ONE + ONE, "finding 'exudate' is given twice"),
        (ONE.replace("brush", "spray"), "marks"),
        (ONE + "annotators = 3", "annotators"),
        ("annotators = 0\n" + ONE, "annotators"),
        ("order = 'any'\n" + ONE, "order"),
        ("overlap = 'last'\n" + ONE, "overlap"),
        (ONE + "[consensus]\nat_least = 4", "at most annotators=3, got 4"),
        ("", "ask at least one"),
        ("x y", "not TOML"),
        (ONE.replace('"exudate"', '"exudate"\nquestion = "grade"'), "must have the answers no and yes"),
        (ONE + "[guideline]\non = true", "guideline"),
        (ONE.replace('"exudate"', '"exudate"\nkey = "1"') + '[[questions]]\nname="grade"\nkey="1"', "given twice"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        Protocol.parse('name = "mine"\n' + text).asks(KNOWN)


def test_a_question_takes_its_answers_from_the_manifest() -> None:
    schema = Protocol.parse('name = "mine"\n[[questions]]\nname = "grade"\n' + ONE).asks(KNOWN)
    assert schema.questions == KNOWN.questions
    assert schema.labels == ("exudate",)


def test_no_file_is_told_with_those_that_are_ready() -> None:
    with pytest.raises(FileNotFoundError, match="lesions_and_grade"):
        Protocol.read("nowhere")


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB as Oklab (Ottosson 2020): lightness and two colour axes."""
    cones = rgb @ np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]).T
    mixed = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.asarray(np.cbrt(np.clip(cones, 0, None)) @ np.array(mixed).T)


SIGHTS = {  # Machado, Oliveira, Fernandes 2009, severity 1
    "normal": np.eye(3),
    "no red": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "no green": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
}


def seen(colours: Sequence[str], sight: str) -> np.ndarray:
    values = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return lab(np.clip(linear @ SIGHTS[sight].T, 0, 1))


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(one[:, None] - other[None], axis=-1))


def test_colours_are_told_apart_and_from_fundus_and_oct() -> None:
    fundus = ["#c86028", "#e88c3c", "#96421a", "#b03c1e", "#782814", "#f0b46e"]
    grey = ["#141414", "#5a5a5a", "#969696", "#e1e1e1"]
    for sight, behind, between in (("normal", 0.08, 0.08), ("no red", 0.06, 0.0), ("no green", 0.03, 0.0)):
        marks = seen(COLOURS, sight)
        assert apart(marks, seen(fundus + grey, sight)).min() > behind, sight
        assert (apart(marks, marks) + np.eye(len(marks))).min() > between, sight
        first = marks[:6]
        assert (apart(first, first) + np.eye(6)).min() > 0.05, sight
