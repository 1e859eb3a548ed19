"""Every recipe, found by listing, on every drawn schema it serves: builds, learns, exports, is listed."""

import re
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from recipes_cases import CASES, NAMES, NARROW, four_retinas, known, narrow, served, stages_with_batches
from torch import nn

from foveate.cli import options
from foveate.core.types import Outputs
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.engine.fit import fit
from foveate.engine.recipe import TRAINING, UNSAID
from foveate.recipes import load_recipe, load_run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    folder = tmp_path_factory.mktemp("drawn")
    return {kind: four_retinas(kind, folder / kind) for kind in synthetic.SCHEMAS}


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_serves_a_drawn_schema(name: str) -> None:
    assert served(name)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_shapes_losses_and_gradients(name: str, kind: str, drawn: dict[str, Manifest]) -> None:
    recipe = narrow(name, kind)
    for stage, network, batch in stages_with_batches(recipe, drawn[kind]):
        network.train()
        for part in stage.frozen:
            network.get_submodule(part).requires_grad_(False)
        for module in network.modules():  # timm starts the last normalisation of a block at 0, where nothing passes
            if isinstance(module, nn.BatchNorm2d) and module.weight.requires_grad:
                nn.init.uniform_(module.weight, 0.5, 1.5)
        outputs = network(batch.image, batch.prior)
        assert type(outputs) is Outputs
        for pixel in (outputs.pixel, *outputs.aux):
            assert pixel is None or pixel.shape[-2:] == batch.image.shape[-2:]
        if outputs.pixel is not None:
            assert outputs.pixel.shape[:2] == (len(batch), recipe.schema.pixel_channels)
        if outputs.image is not None:
            assert outputs.image.shape == (len(batch), recipe.schema.image_channels)
        assert outputs.pixel is not None or outputs.image is not None
        terms = dict(stage.loss(outputs, batch))
        assert all(value.isfinite() and value.ndim == 0 for value in terms.values())
        assert sum(terms.values()) > 0
        if stage.after_drop is not None:
            terms |= {f"later {k}": v for k, v in stage.after_drop(outputs, batch).items()}
        sum(terms.values()).backward()
        trainable = {n: p for n, p in network.named_parameters() if p.requires_grad}
        assert trainable
        assert not [n for n, p in trainable.items() if p.grad is None or not p.grad.abs().sum() > 0]
        assert all(p.grad is None for p in network.parameters() if not p.requires_grad)


@pytest.mark.parametrize("name", NAMES)
def test_networks_export(name: str, drawn: dict[str, Manifest]) -> None:
    kind = served(name)[0]
    for _, network, batch in stages_with_batches(narrow(name, kind), drawn[kind]):
        given = (batch.image,) if batch.prior is None else (batch.image, batch.prior)
        exported = torch.export.export(network.eval(), given).module()
        with torch.no_grad():
            ours, eager = exported(*given), network(*given)
        assert type(ours) is Outputs
        for a, b in zip(ours[:2], eager[:2], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def others(value: Any) -> list[Any]:
    """Other values of a number."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value * 2 + 2, max(value // 2, 1)]
    return [value * 0.37 + 0.011, value * 1.5]


def settings_alone(text: str) -> str:
    """The text of a recipe without the list of its keywords."""
    return "\n".join(line for line in text.splitlines() if not re.match(r"  \w+ = ", line))


def shows(text: str, key: str, value: Any) -> bool:
    """Whether the text shows a keyword; those of training are fields of the recipe, some shown only if set."""
    if key in UNSAID and not value:
        return f"\n{key}: " not in text
    return (f"\n{key}: {value!r}\n" if key in TRAINING else f"\n  {key} = {value!r}\n") in text


@pytest.mark.parametrize("name", NAMES)
def test_text_shows_every_number(name: str) -> None:
    """A number that is changed is seen in the list of keywords, and where it takes effect."""
    keywords = known(name)
    before = {kind: str(narrow(name, kind)) for kind in served(name)}
    for kind, text in before.items():
        recipe = narrow(name, kind)
        for key, value in recipe.keywords.items():
            assert shows(text, key, value)
        assert not re.search(r" at 0x[0-9a-f]+", text), text
    keywords |= {key: getattr(narrow(name, served(name)[0]), key) for key in TRAINING}
    for key, default in (keywords | {k: v for k, v in NARROW.items() if k in keywords}).items():
        if not isinstance(default, (bool, int, float)):
            continue
        seen = False
        for kind, text in before.items():
            for value in others(default):
                try:
                    changed = str(narrow(name, kind, **{key: value}))
                except ValueError:
                    continue
                assert shows(changed, key, value)
                seen = seen or settings_alone(changed) != settings_alone(text)
        assert seen, f"{key} takes effect nowhere in the text"


@pytest.mark.parametrize("name", NAMES)
def test_unknown_keyword_lists_those_known(name: str) -> None:
    schema = synthetic.SCHEMAS[served(name)[0]]
    with pytest.raises(ValueError, match=r"unknown keyword \['epoch'\]") as told:
        load_recipe(name, schema, epoch=1)
    assert all(repr(key) in str(told.value) for key in (*known(name), *TRAINING))


OF_TRAINING: dict[str, Any] = {
    "precision": "bf16",
    "clip": 0.5,
    "accumulate": 2,
    "average": 0.25,
    "patience": 7,
    "validations": 9,
    "epochs": 11,
    "batch": 6,
    "rare_images": 0.25,
}
"""Values that no recipe has by default."""


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_takes_the_keywords_of_training(name: str) -> None:
    """Each is set, recorded and shown; a recorded recipe opens with the same settings."""
    assert set(OF_TRAINING) == set(TRAINING)
    kind = served(name)[0]
    plain_ = narrow(name, kind)
    changed = narrow(name, kind, **OF_TRAINING)
    for key, value in OF_TRAINING.items():
        assert getattr(plain_, key) != value
        assert getattr(changed, key) == value
        assert changed.keywords[key] == value
        assert plain_.keywords[key] == getattr(plain_, key)
        assert shows(str(changed), key, value)
    assert str(load_recipe(name, synthetic.SCHEMAS[kind], **changed.keywords)) == str(changed)
    assert str(load_recipe(name, synthetic.SCHEMAS[kind], **plain_.keywords)) == str(plain_)


@pytest.mark.parametrize(
    ("keywords", "wrong"),
    [
        ({"precision": "fp8"}, "precision must be one of"),
        ({"clip": 0}, "clip must be a number above 0"),
        ({"clip": "1"}, "clip must be a number or null"),
        ({"accumulate": 3}, "accumulate=3 does not divide batch=4"),
        ({"average": 1.0}, "average=1.0"),
        ({"patience": 0}, "patience must be a whole number"),
        ({"validations": 2.5}, "validations must be a whole number"),
        ({"rare_images": 1.0}, "rare_images=1.0"),
        ({"epochs": "ten"}, "epochs must be a whole number"),
    ],
)
def test_keywords_of_training_are_checked(keywords: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        narrow("image_quality", "enface", **keywords)


def test_help_lists_the_keywords_of_training() -> None:
    (option,) = [part for part in get_args(options.Set) if hasattr(part, "help")]
    assert all(key in option.help for key in TRAINING)


def test_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="got 'nonsense'") as told:
        load_recipe("nonsense", synthetic.SCHEMAS["enface"])
    assert all(repr(name) in str(told.value) for name in NAMES)


OWN = '''"""Ours: a narrow joint network."""

from foveate.recipes.image_quality import recipe as paper


def recipe(schema, *, epochs=1, width=4):
    """Image quality with a narrow encoder."""
    return paper(schema, encoder="resnet10t", size=64, batch=4, epochs=epochs, width=width)
'''


def test_own_file(tmp_path: Path, drawn: dict[str, Manifest]) -> None:
    """Ten lines of one's own train, and the run opens again from its folder alone."""
    path, rows = tmp_path / "mine.py", drawn["enface"]
    path.write_text(OWN)
    assert len(OWN.splitlines()) <= 10
    recipe = load_recipe(str(path), rows.schema, width=2)
    assert recipe.name == str(path)
    assert {key: recipe.keywords[key] for key in ("epochs", "width", "batch")} == {"epochs": 1, "width": 2, "batch": 4}
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    opened = load_run(run.folder)
    assert str(opened.recipe) == str(run.recipe)
    ours, theirs = (r.network("joint").state_dict() for r in (run, opened))
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    with pytest.raises(ValueError, match=r"knows .*'clip', 'epochs'.*'width'"):
        load_recipe(str(path), rows.schema, size=32)
    path.unlink()
    moved = shutil.move(run.folder, tmp_path / "elsewhere")
    assert str(load_run(moved).recipe) == str(run.recipe)  # of the copy in the run


def test_own_file_that_is_none(tmp_path: Path) -> None:
    schema = synthetic.SCHEMAS["enface"]
    with pytest.raises(ValueError, match="no such file"):
        load_recipe(str(tmp_path / "absent.py"), schema)
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="has no function recipe"):
        load_recipe(str(tmp_path / "empty.py"), schema)


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe\.json is missing"):
        load_run(tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if "grouping" in known(name)])
@pytest.mark.parametrize("grouping", ["0|123", "012|3", "01|2|3", "0|1|23"])
def test_grades_are_merged(name: str, grouping: str, drawn: dict[str, Manifest]) -> None:
    groups = grouping.split("|")
    recipe = narrow(name, "enface", grouping=grouping)
    question = recipe.schema.question("quality")
    assert question.channels == len(groups)
    assert [question.index(grade) for grade in "0123"] == [i for i, group in enumerate(groups) for _ in group]
    assert recipe.asked == synthetic.SCHEMAS["enface"]
    stage, network, batch = next(iter(stages_with_batches(recipe, drawn["enface"])))
    grades = [row.answers["quality"] for row in drawn["enface"].where(split="train")]
    assert batch.answer("quality").tolist() == [question.index(grade) for grade in grades]
    assert network(batch.image, batch.prior).image.shape == (4, len(groups))
    assert sum(stage.loss(network(batch.image, batch.prior), batch).values()).isfinite()


@pytest.mark.parametrize("grouping", ["0|2|13", "012", "0|12"])
def test_grades_that_cannot_be_merged(grouping: str) -> None:
    with pytest.raises(ValueError, match="grouping"):
        narrow("image_quality", "enface", grouping=grouping)


def test_image_quality_parts() -> None:
    """The share of the answers leaves a head out at its ends; both decoders are made as wide as asked."""
    image = torch.rand(2, 1, 64, 64)
    classifier, segmenter = (narrow("image_quality", "enface", classify=c, grey=True) for c in (1.0, 0.0))
    outputs = classifier.stages[0].network()(image)
    assert outputs.pixel is None
    assert outputs.image.shape == (2, 4)
    assert list(classifier.stages[0].loss.terms) == ["answers"]  # type: ignore[attr-defined]
    outputs = segmenter.stages[0].network()(image)
    assert outputs.image is None
    assert outputs.pixel.shape == (2, 5, 64, 64)
    assert segmenter.stages[0].keep.metric == "dice_pooled"
    for keep, highest in (("loss", False), ("brier", False), ("dice", True)):
        assert narrow("image_quality", "enface", keep=keep).stages[0].keep.highest is highest
    sizes = [
        sum(p.numel() for p in narrow("image_quality", "enface", decoder=d, width=w).stages[0].network().parameters())
        for d in ("unet", "fpn")
        for w in (4, 8)
    ]
    assert sizes[0] < sizes[1]
    assert sizes[2] < sizes[3]
    with pytest.raises(ValueError, match=r"decoder must be one of \['unet', 'fpn'\], got 'transformer'"):
        narrow("image_quality", "enface", decoder="transformer")
    with pytest.raises(ValueError, match="width=6: an FPN needs a multiple of 4"):
        narrow("image_quality", "enface", decoder="fpn", width=6)
    with pytest.raises(ValueError, match=r"classify must be .* got 1.5"):
        narrow("image_quality", "enface", classify=1.5)
