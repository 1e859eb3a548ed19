import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from foveate import report
from foveate.metrics.counts import Counts
from foveate.report.page import page

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
RUN = {
    "name": "joint_dice",
    "keywords": {"encoder": "resnet34", "size": 256},
    "text": "recipe joint_dice\nbatch: 8 <all>",
    "seed": 7,
    "manifest": {"path": "disc.jsonl", "hash": "f" * 64},
    "versions": {"foveate": "0.1.0", "torch": "2.11"},
    "git": {"commit": "abc123", "clean": True},
}
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Every tag is closed in its turn; what is loaded and which ids and links there are."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.ids, self.links, self.alts, self.words = [], [], set(), set(), [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert tag not in {"script", "link", "iframe"}
        self.loads += [found[k] for k in ("src", "data", "action") if k in found]
        self.ids |= {found["id"]} if "id" in found else set()
        self.links |= {found["href"]} if "href" in found else set()
        if tag == "img":
            self.alts.append(found.get("alt"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(path):
    text = path.read_text(encoding="utf-8")
    return text, Reader(text)


def test_page_is_whole_and_stands_alone(tmp_path, counts, noisy, cases, log):
    table = report.comparison("Table 3", {"a": counts, "b": noisy}, ["dice"], repeats=10)
    path = page(
        tmp_path / "run", title="Disc <&> cup", run=RUN, log=log, counts=counts, cases=cases, repeats=20, each=1,
        when=WHEN, data_summary={"images": 24, "splits": {"test": {"images": 24}}}, tables=[table],
    )  # fmt: skip
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["report.html"] == [path.name]
    text, seen = read(path)
    assert seen.loads
    assert all(src.startswith("data:image/") for src in seen.loads)
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(link[1:] in seen.ids for link in seen.links)
    assert all(seen.alts)
    assert "<&>" not in text
    assert "Disc &lt;&amp;&gt; cup" in text
    assert "Not in this report" not in text
    words = " ".join(seen.words)
    for said in (
        "joint_dice", "ffffffffffffffff", "given 2, truth unknown", "2026-01-02 03:04 UTC", "abc123",
        "resnet34", "absent=one", "batch: 8 <all>",
        "Stage cam_unet", "Kept: epoch 3", "Table 3", "eye10", "eye00", "score 0.500", "yes (0.70), truth no",
    ):  # fmt: skip
        assert said in words
    # 2 stages, 3 charts a question, 4 panels a case (3 cases), image and maps for one case of each question
    assert len(seen.loads) == 2 + 2 * 3 + 3 * 4 + 2 + 4


def test_page_is_the_same_for_the_same_input(tmp_path, counts, case):
    texts = {
        page(tmp_path / n, title="t", counts=counts, cases=[case], repeats=5, when=WHEN).read_bytes() for n in "ab"
    }
    assert len(texts) == 1


def test_what_a_network_never_gives_is_in_a_box_at_the_top(tmp_path, clean):
    silent = {c: np.where(clean.pixels["label"] == "cup", 0, clean.pixels[c]) for c in ("tp", "fp")}
    silent["fn"] = np.where(clean.pixels["label"] == "cup", clean.pixels["tp"] + clean.pixels["fn"], 1)
    text, _ = read(
        page(
            tmp_path,
            title="t",
            counts=Counts(clean.schema, clean.pixels | silent, clean.answers),
            warned=["U-Net: <b>"],
            repeats=2,
        )
    )
    box = text.partition('<aside class="warning">')[2].partition("</aside>")[0]
    assert "<li>label cup: in 24 images, marked in none.</li><li>U-Net: &lt;b&gt;</li>" in box
    assert text.index('class="warning"') < text.index('class="tiles"')
    assert 'class="warning"' not in read(page(tmp_path, title="t", counts=clean, repeats=2))[0]


def test_the_kept_epoch_is_described_by_dice_where_present(tmp_path):
    val = {"loss": 0.5, "dice": 0.3, "dice_all": 0.9, "dice_present": 0.3, "found": 0.25}
    text, _ = read(page(tmp_path, title="t", log=[{"epoch": 1, "val": val, "best": True}]))
    assert "Kept: epoch 1 (loss 0.500, Dice where present 0.300, found 0.250)." in text


def test_everything_may_be_missing_and_is_said_to_be(tmp_path):
    _, seen = read(page(tmp_path, title="Nothing"))
    words = " ".join(seen.words)
    for said in ("Not in this report", "The run was not evaluated.", "No training log.", "No cases", "No recipe"):
        assert said in words


@pytest.mark.parametrize("part", ["labels", "questions"])
def test_a_schema_may_lack_labels_or_questions(tmp_path, counts, part):
    empty = {k: v[:0] for k, v in (counts.pixels if part == "labels" else counts.answers).items()}
    pixels, answers = (empty, counts.answers) if part == "labels" else (counts.pixels, empty)
    fewer = Counts(replace(counts.schema, **{part: ()}), pixels, answers)
    _, seen = read(page(tmp_path, title="t", counts=fewer, repeats=5))
    assert f"The schema has no {'pixel labels' if part == 'labels' else part}." in " ".join(seen.words)


def test_unknown_truth_is_said(tmp_path, counts, unscored):
    blind = Counts(counts.schema, counts.pixels, {k: v[:0] for k, v in counts.answers.items()})
    unseen = replace(unscored, known=unscored.known * 0, answers={})
    _, seen = read(page(tmp_path, title="t", counts=blind, cases=[unseen], repeats=5))
    words = " ".join(seen.words)
    assert "The truth of the questions is unknown in every image." in words
    assert "Truth unknown in this image: disc, cup, drusen." in words
    assert "they have no score to choose by" in words
    assert "truth unknown" in words


def test_one_kind_of_truth_has_no_roc(tmp_path, counts):
    yes = [i for i, t in zip(counts.questions["glaucoma"].image, counts.questions["glaucoma"].truth, strict=True) if t]
    _, seen = read(page(tmp_path, title="t", counts=counts.take([counts.images[i] for i in yes]), repeats=5))
    assert "No ROC of yes: the truth is of one kind." in " ".join(seen.words)
