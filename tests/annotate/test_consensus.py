"""Blind until settled; what the rule decides and what an adjudicator does; agreement."""

from collections.abc import Callable

import pytest
from annotate_people import BRUSH, ELLIPSE, EVERY_MARK, POINT, REGIONS, Person

from foveate.annotate.domain.consensus import decide
from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.store.project import Project
from foveate.core.labels import LabelSchema
from foveate.data.manifest import Manifest

People = Callable[..., Person]


def test_no_annotator_sees_another_before_the_consensus(person: People) -> None:
    anna, ben, eve = person("anna"), person("ben"), person("eve", "adjudicator")
    both = person("both", "annotator", "adjudicator")
    anna.read({"answers": {"grade": "2"}, "shapes": [BRUSH]})
    assert ben.get("/api/items/1")["marks"] is None
    assert ben.get("/api/items/1/others", status=403)["error"] == "blind"
    ben.get("/api/items/1/consensus", status=403)
    assert both.get("/api/items/1/consensus", status=403)["error"] == "blind", "who reads too is blind as well"
    assert eve.get("/api/items/1/consensus")["state"] == "open"
    ben.claim()
    assert ben.get("/api/items/1")["marks"]["marks"]["shapes"] == []
    assert ben.get("/api/items/1/history")["versions"] == []
    ben.save({"answers": {"grade": "1"}}, state="done")
    assert both.get("/api/items/1/consensus")["state"] == "disputed"
    assert ben.get("/api/items/1/others", status=403)["error"] == "blind", "disputed is not settled"
    eve.save({"answers": {"grade": "2"}, "shapes": [BRUSH]}, where="consensus", state="done")
    others = ben.get("/api/items/1/others")
    assert [one["name"] for one in others["annotations"]] == ["anna"]
    assert others["consensus"]["answers"] == {"grade": "2"}
    assert ben.save({}, version=1, status=409)["error"] == "settled"


def test_the_adjudicator_decides_what_the_rule_leaves_open(person: People) -> None:
    anna, ben, eve = person("anna"), person("ben"), person("eve", "adjudicator")
    for who, grade, shape in ((anna, "2", ELLIPSE), (ben, "3", REGIONS)):
        who.read({"answers": {"grade": grade}, "shapes": [shape]})
        who.read({"answers": {"grade": "2"}, "shapes": [shape]}, item=2)
    listed = eve.get("/api/consensus")
    assert [(i["state"], i["disputes"], i["annotations"]) for i in listed["items"][:3]] == [
        ("disputed", ["grade"], 2),
        ("settled", [], 2),
        ("open", [], 0),
    ]
    assert eve.get("/api/consensus?state=disputed")["items"] == listed["items"][:1]
    table = eve.get("/api/items/1/consensus")
    assert [one["name"] for one in table["annotations"]] == ["anna", "ben"]
    assert table["proposal"]["answers"] == {}
    assert {s["kind"] for s in table["proposal"]["shapes"]} == {"ellipse", "regions"}
    assert table["consensus"]["version"] == 0
    eve.save({"answers": {"grade": "3"}}, where="consensus", state="open")
    assert eve.save({}, where="consensus", status=409)["error"] == "stale"
    eve.save({"answers": {"grade": "3"}}, where="consensus", version=1, state="done")
    assert eve.get("/api/items/1/consensus")["state"] == "settled"
    assert len(eve.get("/api/items/1/consensus/history")["versions"]) == 2
    eve.save({"answers": {"grade": "3"}}, where="consensus", version=2, state="open")
    assert eve.get("/api/items/1/consensus")["state"] == "disputed"


@pytest.mark.parametrize(
    ("seen", "state", "disputes"),
    [((1, 1, 0), "present", ()), ((1, 0, 0), "unsure", ()), ((0, 0, 0), "absent", ()), ((1, 1, 1), "present", ())],
)
def test_two_of_three_saw_it_is_present_one_is_left_out(
    seen: tuple[int, ...], state: str, disputes: tuple[str, ...]
) -> None:
    protocol = Protocol.read("regions_of_findings")
    readings = [Marks(findings={"drusen": "present" if one else "absent"}) for one in seen]
    found = decide(readings, protocol=protocol, schema=protocol.asks(LabelSchema()))
    assert (found.findings["drusen"], found.disputes) == (state, disputes)
    assert found.findings["macular_hole"] == "absent", "nothing chosen is normal"


def test_a_grade_of_the_majority_is_kept_else_it_is_a_dispute() -> None:
    protocol = Protocol.read("lesions_and_grade")
    schema = protocol.asks(LabelSchema())

    def of(*grades: str) -> object:
        found = decide([Marks(answers={"grade": g}) for g in grades], protocol=protocol, schema=schema)
        return found.answers.get("grade"), found.disputes

    assert of("1", "2", "2") == ("2", ())
    assert of("1", "2", "3") == (None, ("grade",))


def test_an_image_that_most_cannot_read_is_ungradable() -> None:
    protocol = Protocol.parse(EVERY_MARK.replace("annotators = 2", "annotators = 3"))
    schema = LabelSchema()
    blurred = Marks.model_validate({"ungradable": {"reasons": ["blurred"]}})
    good = Marks.model_validate({"answers": {"grade": "1"}, "shapes": [POINT]})
    schema = Protocol.read("lesions_and_grade").asks(LabelSchema())
    assert decide([blurred, blurred, good], protocol=protocol, schema=schema).ungradable is not None
    found = decide([blurred, good, good], protocol=protocol, schema=schema)
    assert (found.answers, found.findings["hard_exudate"]) == ({"grade": "1"}, "present")


def test_lesions_against_the_grade_are_told(
    make_project: Callable[..., Project], person: People, bare: Manifest
) -> None:
    text = (
        'name = "g"\nannotators = 1\nextends = true\n[[questions]]\nname = "grade"\nanswers = ["0","1","2","3","4"]\n'
    )
    text += '[[findings]]\nname = "neovascularisation"\nmarks = ["brush"]\n[consensus]\nat_least = 1\n'
    text += 'review = "all"\n[guideline]\non = true\n'
    project = make_project(text, name="g", manifest=bare)
    anna, eve = person("anna", at=project), person("eve", "adjudicator", at=project)
    anna.read({"answers": {"grade": "1"}, "shapes": [BRUSH | {"label": "neovascularisation"}]})
    table = eve.get("/api/items/1/consensus")
    assert table["state"] == "ready", "review = all: nothing settles by itself"
    assert table["contradictions"][0]["finding"] == "neovascularisation"


def test_agreement_is_that_of_the_formulas(person: People) -> None:
    anna, ben, eve = person("anna"), person("ben"), person("eve", "adjudicator")
    for item, (one, two) in enumerate(["11", "22", "12", "33"], 1):
        anna.read({"answers": {"grade": one}, "shapes": [BRUSH | {"runs": [0, 10]}]}, item=item)
        ben.read({"answers": {"grade": two}, "shapes": [BRUSH | {"runs": [5, 10]}] if item < 4 else []}, item=item)
    found = eve.get("/api/agreement")
    # Cohen (1968), weights (i - j)^2: observed 1/4; expected 1/2 (1/2 + 4/4) + 1/4 (1/4 + 1/4) + 1/4 (4/4 + 1/2) = 5/4
    assert found["questions"][0]["kappa"] == pytest.approx(1 - (1 / 4) / (5 / 4))
    assert found["questions"][0]["measure"] == "quadratic weighted"
    line = next(f for f in found["findings"] if f["finding"] == "haemorrhage")
    assert (line["annotators"], line["images"], line["both_or_either"]) == (["anna", "ben"], 4, 4)
    assert line["dice"] == pytest.approx((0.5 + 0.5 + 0.5 + 0) / 4)
    assert found["annotators"][0]["dice"]["haemorrhage"] == line["dice"]
    assert found["over_time"][0]["images"] == 4
    assert found["over_time"][0]["dice"]["haemorrhage"] == line["dice"]
