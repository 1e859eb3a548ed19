"""Protocols: what a coordinator may write, and what is told where it is wrong."""

import pytest

from foveate.apps.annotate.protocol import READY, Protocol
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
    assert (regions.readers, regions.consensus.at_least, regions.consensus.undecided) == (3, 2, "unknown")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[findings]]\nname = "exudat"\nmarks = ["brush"]', "'exudat' is none of the manifest's labels"),
        (ONE + '[[questions]]\nname = "quality"', "'quality' is none of the manifest's"),
        (ONE + '[[questions]]\nname = "grade"\nanswers = ["a", "b"]', "leave them out"),
        (ONE + ONE, "finding 'exudate' is there twice"),
        (ONE.replace("brush", "spray"), "marks"),
        (ONE + "readers = 3", "readers"),
        ("readers = 0\n" + ONE, "readers"),
        ("order = 'any'\n" + ONE, "order"),
        (ONE + "[consensus]\nat_least = 4", "consensus.at_least=4"),
        ("", "ask at least one"),
        ("x y", "not TOML"),
        (ONE.replace('"exudate"', '"exudate"\nquestion = "grade"'), "is not answered with no and yes"),
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
