"""The order of images, progress, pictures and regions as pages get them."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotate_people import EVERY_MARK, Person
from PIL import Image

from foveate.annotate.domain.marks import Marks
from foveate.annotate.store.new_project import new_project
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Draft
from foveate.annotate.web.pictures import TILE, halved
from foveate.core.labels import LabelSchema
from foveate.core.regions import Regions
from foveate.core.types import Row
from foveate.data.manifest import Manifest

People = Callable[..., Person]


def test_next_gives_every_image_once_and_again_what_was_begun(person: People) -> None:
    anna = person("anna")
    assert anna.get("/api/work")["seconds_left"] is None
    first = anna.send("POST", "/api/work/next")["item"]
    assert anna.send("POST", "/api/work/next")["item"] == first
    seen = []
    while (item := anna.send("POST", "/api/work/next")["item"]) is not None:
        seen.append(item)
        anna.save({"answers": {"grade": "0"}}, item=item, state="done", seconds=30.0)
    assert seen == [1, 2, 3, 4, 5, 6]
    found = anna.get("/api/work")
    assert (found["done"], found["total"], found["seconds_left"]) == (6, 6, 0.0)


def test_progress_tells_how_long_it_will_take(person: People) -> None:
    anna, chief = person("anna"), person("chief", "coordinator")
    for item, seconds in ((1, 20.0), (2, 40.0), (3, 60.0)):
        anna.claim(item)
        anna.save({"answers": {"grade": "0"}}, item=item, state="done", seconds=seconds)
    anna.claim(4)
    assert anna.get("/api/work")["seconds_left"] == 40.0 * 3
    told = chief.get("/api/progress")
    assert told["annotators"] == [{"name": "anna", "done": 3, "open": 1, "seconds": 120.0, "median_seconds": 40.0}]
    assert told["over_time"][0]["seconds"] == 120.0


def test_a_random_order_is_another_for_each_annotator_and_stays(
    make_project: Callable[..., Project], person: People
) -> None:
    project = make_project('order = "random"\n' + EVERY_MARK.replace("annotators = 2", "annotators = 9"), name="random")

    def order(someone: Person) -> list[int]:
        out = []
        while (item := someone.send("POST", "/api/work/next")["item"]) is not None:
            out.append(item)
            someone.save({"answers": {"grade": "0"}}, item=item, state="done")
        return out

    orders = [order(person(f"r{i}", at=project)) for i in range(4)]
    assert all(sorted(one) == [1, 2, 3, 4, 5, 6] for one in orders)
    assert len(set(map(tuple, orders))) > 1


def test_the_scans_of_a_volume_stay_together(
    make_project: Callable[..., Project], person: People, images: Manifest
) -> None:
    scans = [
        replace(row, volume=f"V{k % 2}" if k < 4 else None, position=9 - k if k < 4 else None)
        for k, row in enumerate(images)
    ]
    text = 'order = "random"\n' + EVERY_MARK.replace("annotators = 2", "annotators = 9")
    project = make_project(text, name="volumes", manifest=images.with_rows(scans))
    orders = set()
    for number in range(4):
        anna = person(f"r{number}", at=project)
        order = []
        while (item := anna.send("POST", "/api/work/next")["item"]) is not None:
            order.append(item)
            anna.save({"answers": {"grade": "0"}}, item=item, state="done")
        assert sorted(order) == [1, 2, 3, 4, 5, 6]
        assert order.index(1) == order.index(3) + 1, "the scan before comes before"
        assert order.index(2) == order.index(4) + 1
        orders.add(tuple(order))
    assert len(orders) > 1


def test_the_most_uncertain_image_comes_first(make_project: Callable[..., Project], person: People) -> None:
    project = make_project('order = "active"\n' + EVERY_MARK, name="active")
    with project.store.write() as db:
        for item, unsure in ((2, 0.4), (5, 0.9)):
            db.add(Draft(item_id=item, run="r", at=0.0, uncertainty=unsure, marks=Marks().pack()))
    anna = person("anna", at=project)
    seen = []
    for _ in range(3):
        seen.append(anna.send("POST", "/api/work/next")["item"])
        anna.save({"answers": {"grade": "0"}}, item=seen[-1], state="done")
    assert seen == [5, 2, 1]


def test_pixels_arrive_as_they_are_and_cut_into_tiles(tmp_path: Path, person: People) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (701, 1201, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    manifest = Manifest(LabelSchema(), (Row("a/b ü", "a.tif"),), tmp_path)
    file = tmp_path / "p.toml"
    file.write_text("extends = true\n" + EVERY_MARK)
    project, _ = new_project(manifest, protocol=file, out=tmp_path / "mine")
    anna = person("anna", at=project)
    assert [anna.get("/api/items/1")[k] for k in ("id", "rows", "cols", "levels")] == ["a/b ü", 701, 1201, 3]

    def shown(path: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(anna.get(path).content)))

    assert (shown("/api/items/1/image") == pixels).all()
    assert shown("/api/items/1/image?level=1").shape == (351, 601, 3)
    assert halved(pixels).shape == (351, 601, 3)
    assert np.abs(halved(pixels)[0, 0] - pixels[:2, :2].mean((0, 1))).max() <= 0.5
    whole = np.zeros_like(pixels)
    for row in range(2):
        for col in range(3):
            tile = shown(f"/api/items/1/tiles/0/{row}/{col}")
            whole[row * TILE : row * TILE + tile.shape[0], col * TILE : col * TILE + tile.shape[1]] = tile
    assert (whole == pixels).all()
    anna.get("/api/items/1/tiles/0/2/0", status=404)
    anna.get("/api/items/1/image?level=3", status=404)
    green = shown("/api/items/1/image?look=redfree")
    assert (green == pixels[..., 1]).all()
    assert shown("/api/items/1/image?look=clahe").shape == pixels.shape
    answer = anna.get("/api/items/1/image")
    assert anna.client.get("/api/items/1/image", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    (tmp_path / "a.tif").unlink()
    gone = anna.get("/api/items/1/image?look=redfree-clahe&level=2")
    assert gone.headers["content-type"] == "image/jpeg"
    project2 = Project.open(project.folder)
    lost = person("ben", at=project2).get("/api/items/1/image", status=404)
    assert lost["error"] == "unreadable"
    assert str(tmp_path) not in str(lost)
    for one in (project, project2):
        one.store.close()


def test_a_volume_is_seen_from_above(tmp_path: Path, person: People) -> None:
    for i in range(4):
        Image.fromarray(np.full((20, 30), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    rows = tuple(Row(f"s{i}", f"{i}.png", volume="v", position=3 - i, patient="p") for i in range(4))
    rows += (Row("other", "0.png", patient="p", laterality="OS"), Row("alone", "1.png"))
    file = tmp_path / "p.toml"
    file.write_text("extends = true\n" + EVERY_MARK)
    project, _ = new_project(Manifest(LabelSchema(), rows, tmp_path), protocol=file, out=tmp_path / "mine")
    anna = person("anna", at=project)
    about = anna.get("/api/items/2")
    assert about["volume"]["index"] == 2
    assert [s["item"] for s in about["volume"]["scans"]] == [4, 3, 2, 1]
    assert [b["id"] for b in about["related"]] == ["other"]
    above = np.asarray(Image.open(io.BytesIO(anna.get("/api/items/2/enface").content)))
    assert above.shape == (4, 30)
    assert above[:, 0].tolist() == [255, 170, 85, 0]
    anna.get("/api/items/6/enface", status=404)
    project.store.close()


def test_regions_follow_the_disc_that_the_annotator_drags(project: Project, person: People) -> None:
    anna = person("anna")
    row = project.manifest[0]
    assert row.disc is not None
    assert row.fovea is not None
    told = anna.get("/api/items/1/regions")
    assert told["assumed"] == []
    expected = Regions(row.disc, row.fovea, row.laterality).outlines((96, 96))
    assert set(told["outlines"]) == set(expected)
    assert np.allclose(told["outlines"]["macula"], expected["macula"])
    moved = anna.get("/api/items/1/regions?disc_row=40&disc_col=20")
    assert moved["disc"] == [40, 20]
    assert "fovea" in moved["assumed"]
    anna.get("/api/items/1/regions?disc_row=4&disc_col=2&fovea_row=4&fovea_col=2", status=422)
    anna.claim()
    anna.save({"disc": [50.0, 20.0], "fovea": [50.0, 60.0]})
    assert anna.get("/api/items/1/regions")["disc"] == [50.0, 20.0]


def test_a_broken_image_is_named_before_a_room_is_made(tmp_path: Path, images: Manifest) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    rows = (*images.at(tmp_path).rows, Row("broken", "broken.png"))
    manifest = Manifest(images.schema, rows, tmp_path)
    file = tmp_path / "p.toml"
    file.write_text(EVERY_MARK)
    with pytest.raises(ValueError, match="1 of 7 images cannot be read, for example broken"):
        new_project(manifest, protocol=file, out=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    project, left = new_project(manifest, protocol=file, out=tmp_path / "mine", skip_broken=True)
    assert len(left) == 1
    assert len(project.manifest) == 6
    project.store.close()
    with pytest.raises(ValueError, match="exists already"):
        new_project(manifest, protocol=file, out=tmp_path / "mine")
    with pytest.raises(ValueError, match="must be the folder of an annotation project"):
        Project.open(tmp_path)
