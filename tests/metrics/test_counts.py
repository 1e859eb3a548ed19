from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.metrics.counts import Counts

BY_IMAGE = ("images", "groups", "probability", "predicted", "masks", "known", "answers")


def part(arrays, index):
    """The arguments of some images of a batch."""
    pick = {k: [v[i] for i in index] if isinstance(v, list) else v[index] for k, v in arrays.items() if k in BY_IMAGE}
    return arrays | pick | {k: {q: v[index] for q, v in arrays[k].items()} for k in ("answer_probability", "given")}


def test_a_slow_loop_counts_the_same(make_arrays, schema):
    arrays = make_arrays(12)
    counts, rows = Counts.of(schema, **arrays), []
    for b in range(12):
        for k, label in enumerate(schema.labels):
            cells, highest = dict.fromkeys(((1, 1), (0, 1), (1, 0), (0, 0)), 0), -1.0
            for r, c in np.ndindex(6, 6):
                if arrays["known"][b, k, r, c]:
                    cells[int(arrays["masks"][b, k, r, c]), int(arrays["predicted"][b, k, r, c])] += 1
                    highest = max(highest, float(arrays["probability"][b, k, r, c]))
            if sum(cells.values()):
                tp, fp, fn, tn = cells.values()
                rows.append((f"image{b:03d}", f"patient{b // 2:03d}", label, tp, fp, fn, tn, highest, int(tp + fn > 0)))
    assert list(zip(*(column.tolist() for column in counts.pixels.values()), strict=True)) == rows
    assert 12 < len(rows) < 24  # a label unknown in a whole image has no row


def test_answers_have_a_row_for_each_answer_of_a_known_question(make_arrays, schema):
    arrays = make_arrays(12)
    rows = []
    for b in range(12):
        for k, q in enumerate(schema.questions):
            truth, score = arrays["answers"][b, k], arrays["answer_probability"][q.name][b]
            for a, answer in enumerate(q.answers if truth >= 0 else ()):
                chosen = int(arrays["given"][q.name][b] == a)
                rows.append(
                    (f"image{b:03d}", f"patient{b // 2:03d}", q.name, answer, score[a], int(truth == a), chosen)
                )
    counts = Counts.of(schema, **arrays)
    assert list(zip(*(column.tolist() for column in counts.answers.values()), strict=True)) == rows
    grade = counts.questions["grade"]
    seen = np.flatnonzero(arrays["answers"][:, 0] >= 0)
    assert [counts.images[i] for i in grade.image] == [f"image{b:03d}" for b in seen]
    np.testing.assert_array_equal(grade.truth, arrays["answers"][seen, 0])
    np.testing.assert_array_equal(grade.given, arrays["given"]["grade"][seen])
    np.testing.assert_array_equal(grade.probability, arrays["answer_probability"]["grade"][seen])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), axis=st.sampled_from([2, 3, (2, 3)]))
def test_flipping_image_and_mask_changes_no_count(make_arrays, schema, seed, axis):
    arrays = make_arrays(4, seed=seed)
    maps = ("probability", "predicted", "masks", "known")
    flipped = arrays | {name: np.flip(arrays[name], axis) for name in maps}
    assert Counts.of(schema, **flipped) == Counts.of(schema, **arrays)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_is_unknown_changes_no_count(make_arrays, schema, seed):
    arrays, draw = make_arrays(6, seed=seed), np.random.default_rng(seed + 1)
    unknown = ~arrays["known"]
    changed = arrays | {
        "masks": arrays["masks"] ^ (unknown & (draw.random(unknown.shape) < 0.5)),
        "predicted": arrays["predicted"] ^ (unknown & (draw.random(unknown.shape) < 0.5)),
        "probability": np.where(unknown, np.float32(np.nan), arrays["probability"]),
    }
    lost = {q.name: arrays["answers"][:, k] < 0 for k, q in enumerate(schema.questions)}
    changed["answer_probability"] = {
        q: np.where(lost[q][:, None], np.nan, p) for q, p in arrays["answer_probability"].items()
    }
    changed["given"] = {q: np.where(lost[q], 0, g) for q, g in arrays["given"].items()}
    assert Counts.of(schema, **changed) == Counts.of(schema, **arrays)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 8))
def test_batches_of_any_size_join_to_the_same_counts(make_arrays, schema, seed, cut):
    arrays = make_arrays(9, seed=seed)
    parts = [np.arange(9)[:cut], np.arange(9)[cut:]]
    assert Counts.join([Counts.of(schema, **part(arrays, p)) for p in parts]) == Counts.of(schema, **arrays)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_read_is_the_inverse_of_write(tmp_path_factory, make_counts, schema, seed):
    folder, counts = tmp_path_factory.mktemp("run"), make_counts(7, seed=seed)
    counts.write(folder / "deeper")
    assert Counts.read(folder / "deeper", schema) == counts
    assert sorted(p.name for p in (folder / "deeper").iterdir()) == ["counts.csv", "scores.csv"]


def test_names_with_commas_quotes_and_no_rows_survive_the_file(tmp_path, make_counts, schema):
    counts = make_counts(2, images=['a, "b"', "ä\nc"], groups=["p,1", ""])
    counts.write(tmp_path)
    assert Counts.read(tmp_path, schema) == counts
    empty = counts.take([])
    empty.write(tmp_path)
    assert Counts.read(tmp_path, schema) == empty
    assert len(empty) == 0
    assert (tmp_path / "counts.csv").read_text() == "image,group,label,tp,fp,fn,tn,probability,truth\n"
    assert (tmp_path / "scores.csv").read_text() == "image,group,question,answer,probability,truth,given\n"


def test_a_failed_write_leaves_the_old_files_whole(tmp_path, make_counts, schema, monkeypatch):
    old = make_counts(4)
    old.write(tmp_path)
    new = make_counts(4, seed=1, images=["a", "b", "c", "\ud800"])  # a lone surrogate has no UTF-8
    with pytest.raises(UnicodeEncodeError):
        new.write(tmp_path)
    assert Counts.read(tmp_path, schema) == old
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("tp", "TP", "columns"), ("image000,", "image000,x,", "damaged"), (",1\n", ",one\n", "damaged")],
)
def test_a_damaged_file_is_refused(tmp_path, make_counts, schema, old, new, message):
    make_counts(4).write(tmp_path)
    path = tmp_path / "counts.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        Counts.read(tmp_path, schema)


def test_images_are_in_order_and_each_has_its_group(make_counts):
    counts = make_counts(5, images=list("edcba"), groups=["q", "q", "p", "p", "p"])
    assert counts.images == tuple("edcba")
    assert counts.groups == dict(zip("edcba", "qqppp", strict=True))
    assert len(counts) == 5


def test_images_with_answers_only_and_with_masks_only_are_all_there(make_arrays, schema):
    arrays = make_arrays(3)
    arrays["known"][:] = True
    arrays["known"][1] = False
    arrays["answers"][:] = 0
    arrays["answers"][2] = -1
    counts = Counts.of(schema, **arrays)
    assert counts.images == ("image000", "image002", "image001")
    assert [counts.images[i] for i in counts.labels["disc"].image] == ["image000", "image002"]
    assert [counts.images[i] for i in counts.questions["dme"].image] == ["image000", "image001"]


def test_take_gives_these_images_in_this_order(make_arrays, schema):
    arrays = make_arrays(6)
    arrays["known"][..., 0, 0] = True
    index = np.array([4, 1, 3])
    counts = Counts.of(schema, **arrays)
    assert counts.take([f"image{k:03d}" for k in index]) == Counts.of(schema, **part(arrays, index))
    with pytest.raises(ValueError, match="nobody"):
        counts.take(["nobody"])
    with pytest.raises(ValueError, match="twice"):
        counts.take(["image001", "image001"])


def test_a_network_that_marks_or_answers_nothing_has_no_such_rows(make_arrays, schema):
    arrays = make_arrays(4)
    answering = Counts.of(schema, **arrays | {k: arrays[k][:, :0] for k in ("probability", "predicted")})
    assert len(answering.pixels["image"]) == 0
    assert len(answering.labels["cup"].tp) == 0
    assert answering.answers["image"].size > 0
    marking = Counts.of(schema, **arrays | {"answer_probability": {}, "given": {}})
    assert len(marking.answers["image"]) == 0
    assert marking.questions["grade"].probability.shape == (0, 4)
    assert marking.pixels["image"].size > 0


def test_a_schema_without_labels_or_without_questions(make_arrays):
    only_masks = LabelSchema((), ("disc",))
    arrays = make_arrays(3, schema=LabelSchema((Question("dme"),), ("disc",)))
    masks_only = arrays | {"answers": np.zeros((3, 0), int), "answer_probability": {}, "given": {}}
    assert Counts.of(only_masks, **masks_only).questions == {}
    maps = {k: arrays[k][:, :0] for k in ("probability", "predicted", "masks", "known")}
    assert Counts.of(LabelSchema((Question("dme"),)), **arrays | maps).labels == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": ["a", "b", "a"]}, r"\['a'\] twice"),
        ({"images": ["a", "b"]}, "images=2"),
        ({"groups": ["p", "q"]}, "groups=2"),
        ({"predicted": np.zeros((3, 1, 6, 6), bool)}, "predicted"),
        ({"masks": np.zeros((3, 2, 5, 6), bool)}, "masks"),
        ({"probability": np.full((3, 2, 6, 6), 4.0)}, "logits"),
        ({"probability": np.full((3, 2, 6, 6), np.nan)}, "diverged"),
        ({"given": {}}, "same questions"),
        ({"given": {"who": np.zeros(3, int)}, "answer_probability": {"who": np.zeros((3, 2))}}, "who"),
        ({"given": {"dme": np.zeros(3, int)}, "answer_probability": {"dme": np.zeros((3, 1))}}, "'dme'"),
        ({"answers": np.zeros((3, 2), int)}, "answers has shape"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make_counts, changed, message):
    with pytest.raises(ValueError, match=message):
        make_counts(3, **changed)


def test_join_refuses_nothing_doubles_and_mixed_schemas(make_counts):
    a, b = make_counts(3), make_counts(3, images=["image002", "x", "y"], groups=["patient001", "g", "g"])
    with pytest.raises(ValueError, match=r"\['image002'\] twice"):
        Counts.join([a, b])
    with pytest.raises(ValueError, match="empty"):
        Counts.join([])
    with pytest.raises(ValueError, match="schemas"):
        Counts.join([a, replace(b, schema=replace(a.schema, labels=("disc", "cup", "third")))])


def test_tables_that_make_no_sense_are_refused(make_counts, schema):
    counts = make_counts(4)
    p, a = dict(counts.pixels), dict(counts.answers)
    for pixels, message in [
        (p | {"tp": p["tp"].astype(float)}, "'tp'"),
        (p | {"tp": p["tp"][:-1]}, "length"),
        ({"image": p["image"]}, "columns"),
        ({k: np.concatenate([v, v]) for k, v in p.items()}, "twice"),
        (p | {"group": np.arange(len(p["tp"])).astype(str)}, "one group"),
        (p | {"label": np.full(len(p["tp"]), "macula")}, "macula"),
    ]:
        with pytest.raises(ValueError, match=message):
            Counts(schema, pixels, a)
    lacking = Counts(schema, p, {k: v[1:] for k, v in a.items()})
    with pytest.raises(ValueError, match="lacks rows"):
        _ = lacking.questions
    with pytest.raises(ValueError, match="exactly one answer"):
        _ = Counts(schema, p, a | {"truth": np.zeros_like(a["truth"])}).questions


def test_equal_means_the_same_tables_and_schema(make_counts, schema):
    assert make_counts(3) == make_counts(3)
    assert make_counts(3) != make_counts(3, seed=1)
    assert make_counts(3) != replace(make_counts(3), schema=replace(schema, exclusive=True))
    assert make_counts(3) != "counts"
