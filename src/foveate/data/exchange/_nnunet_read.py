"""nnU-Net v2 raw data sets to a manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foveate.core.files import id_of
from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.manifest import Manifest, sha256
from foveate.data.writing import listed

ENDINGS = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
NO_PATIENTS = "nnU-Net names no patients: images of one patient may be divided; add column patient to the manifest"


def read(root: Path) -> Manifest:
    """The manifest of one raw data set, or of all in a folder.

    Rows of imagesTs are of split ``test``; a ``splits_final.json`` in the data set gives folds, or with one turn the
    splits ``train`` and ``val``. A pixel with the ignore label is unknown; an image without a label file is unknown
    altogether. Data sets that hold the very same image under the same name are joined to one row, as `write` parts
    them; otherwise the data set's name leads the id. Labels are exclusive where there is one data set without regions.

    Args:
        root: the folder with dataset.json, or the folder of such folders.

    Returns:
        the manifest; ``info["warnings"]`` lists unexpected files and values.

        Raises:
            ValueError: no dataset.json, an unreadable one, or files that are not two-dimensional images.
    """
    folders = [root] if (root / "dataset.json").is_file() else sorted(p.parent for p in root.glob("*/dataset.json"))
    if not folders:
        raise ValueError(f"root={str(root)!r}: there is no dataset.json in it or in its folders; give the raw data set")
    warnings = [NO_PATIENTS]
    sets = [_Set.open(folder, warnings) for folder in folders]
    rows: dict[str, Row] = {}
    for part in sets:
        for row in part.rows(root, warnings):
            other = rows.get(row.id)
            if other is not None and (other.sha256, other.split) == (row.sha256, row.split):
                both = {k: other.masks.get(k, ()) + row.masks.get(k, ()) for k in (*other.masks, *row.masks)}
                rows[row.id] = replace(other, masks=both)
            else:
                name = row.id if other is None else f"{part.folder.name}/{row.id}"
                rows[name] = replace(row, id=name)
    if not rows:
        ending, seen = sets[0].ending, "; ".join(warnings[1:]) or "no file"
        raise ValueError(
            f"{root}: there is nothing of nnU-Net: no image like imagesTr/CASE_0000{ending} ({seen}); name the images "
            "CASE_0000" + ending + ", and give file_ending in dataset.json as the files have it"
        )
    labels = tuple(dict.fromkeys(label for part in sets for label in part.values))
    exclusive = len(sets) == 1 and all(len(values) == 1 for values in sets[0].values.values())
    info: dict[str, Any] = {"name": sets[0].name if len(sets) == 1 else root.name, "warnings": warnings}
    return Manifest(LabelSchema((), labels, exclusive), tuple(rows.values()), root, info=info)


@dataclass(frozen=True)
class _Set:
    """One data set: its labels, and the values that mean them."""

    folder: Path
    name: str
    ending: str
    values: Mapping[str, tuple[int, ...]]
    ignore: tuple[int, ...]

    @classmethod
    def open(cls, folder: Path, warnings: list[str]) -> _Set:
        path = folder / "dataset.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            ending, labels = data["file_ending"], data["labels"]
            values = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in labels.items()}
            if not all(isinstance(v, int) for of_label in values.values() for v in of_label):
                raise ValueError("labels must be whole numbers")
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not as nnU-Net v2 has it ({error}); it needs labels, file_ending") from None
        if ending.lower() not in ENDINGS:
            raise ValueError(
                f"{path}: file_ending={ending!r} must be that of a two-dimensional image; save slices as .png, "
                "one case per slice"
            )
        ignore = values.pop("ignore", ())
        values = {name: of_label for name, of_label in values.items() if of_label != (0,)}
        if not values:
            raise ValueError(f"{path}: labels={labels} has the background alone")
        return cls(folder, str(data.get("name") or folder.name), ending, values, ignore)

    def rows(self, root: Path, warnings: list[str]) -> list[Row]:
        """One row per case, training cases first."""
        turns = self._turns(warnings)
        tests = self._cases("Ts", warnings)
        rows = []
        for case, files in self._cases("Tr", warnings).items():
            validates = [k for k, turn in enumerate(turns) if case in turn]
            row = self._row(root, case, *files, split="train" if tests or len(turns) == 1 else None)
            if len(turns) == 1 and validates:
                row = replace(row, split="val")
            rows.append(replace(row, fold=validates[0]) if len(turns) > 1 and validates else row)
        return rows + [self._row(root, case, *files, split="test") for case, files in tests.items()]

    def _cases(self, part: str, warnings: list[str]) -> dict[str, tuple[Path, Path | None]]:
        """Image and label file of each case."""
        labels = (self.folder / f"labels{part}").glob(f"*{self.ending}")
        masks = {path.name.removesuffix(self.ending): path for path in labels}
        images = sorted((self.folder / f"images{part}").glob(f"*_[0-9][0-9][0-9][0-9]{self.ending}"))
        first = [image for image in images if image.name.endswith(f"_0000{self.ending}")]
        names = [image.name.removesuffix(f"_0000{self.ending}") for image in first]
        found = {name: (image, masks.pop(name, None)) for name, image in zip(names, first, strict=True)}
        told = f"{self.folder.name}, {part}"
        if masks:
            warnings.append(f"{told}: {len(masks)} label files have no image ({listed(sorted(masks))})")
        if more := len(images) - len(first):
            warnings.append(f"{told}: {more} files of further channels were not used: a row is one image")
        if bare := [case for case, (_, mask) in found.items() if mask is None]:
            warnings.append(f"{told}: {len(bare)} images have no label file ({listed(bare)}); they are unknown")
        return found

    def _row(self, root: Path, case: str, image: Path, mask: Path | None, *, split: str | None) -> Row:
        masks = {} if mask is None else self._sources(mask.relative_to(root).as_posix())
        place = image.relative_to(root).as_posix()
        return Row(id_of(case), place, masks=masks, source=self.name, sha256=sha256(image), split=split)

    def _sources(self, path: str) -> dict[str, tuple[MaskSource, ...]]:
        return {name: (MaskSource(path, index=v, ignore=self.ignore),) for name, v in self.values.items()}

    def _turns(self, warnings: list[str]) -> list[set[str]]:
        """Validation cases of each turn in splits_final.json."""
        path = self.folder / "splits_final.json"
        if not path.is_file():
            return []
        try:
            turns = [set(turn["val"]) for turn in json.loads(path.read_text(encoding="utf-8"))]
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            warnings.append(f"{path}: must be a list of train and val ({error}); it was not used")
            return []
        if len(turns) > 1 and max(Counter(case for turn in turns for case in turn).values(), default=0) > 1:
            warnings.append(f"{path}: a case validates twice, so turns are not folds; it was not used")
            return []
        return turns
