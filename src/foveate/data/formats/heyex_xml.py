"""HEYEX XML export: an .xml file that names one image file per B-scan, in the same folder."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from foveate.data.formats import picture
from foveate.data.formats._pixels import Pixels, Slice, chosen
from foveate.data.formats._unreadable import Unreadable, reading

TITLE = "Heidelberg HEYEX XML export"
ENDINGS = (".xml",)


def fits(head: bytes) -> bool:
    """XML with the root ``HEDX``."""
    return re.match(rb"(\xef\xbb\xbf)?\s*<", head) is not None and b"<HEDX" in head


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """The B-scan's image file."""
    found = _scans(path)
    return (found[chosen(path, frame, len(found))][0],)


def slices(path: Path) -> list[Slice]:
    """Every B-scan; its image file is not opened."""
    return [one for _, one in _scans(path)]


def pixels(path: Path, frame: int | None) -> Pixels:
    """One B-scan.

    Raises:
        Unreadable: its image file is missing, or of another size than in the export.
    """
    found = _scans(path)
    name, one = found[chosen(path, frame, len(found))]
    with reading(name):
        image = picture.pixels(name, None)
    if image.values.shape[:2] != one.size:
        raise Unreadable(name, f"is {image.values.shape[:2]} (rows, cols), but {one.size} in {path.name}; export again")
    return image


def _scans(path: Path) -> list[tuple[Path, Slice]]:
    # names of patients are sometimes Latin-1 in a file that is declared as UTF-8; they are not read
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    found = []
    for patient in root.iterfind(".//{*}Patient"):
        number = _text(patient, "PatientID") or _text(patient, "ID") or None
        for position, series in enumerate(patient.iterfind(".//{*}Series")):
            images = series.findall("{*}Image")
            stated = int(_text(series, "NumImages") or len(images))
            if len(images) < stated:
                raise Unreadable(path, f"a series states {stated} images and {len(images)} are there; export it again")
            for image in images:
                if _text(image, "ImageType/{*}Type") == "OCT":
                    side = _text(image, "Laterality") or _text(series, "Laterality") or None
                    found.append(_scan(path, image, side, number, str(position)))
    return found


def _scan(
    path: Path, image: ElementTree.Element, side: str | None, patient: str | None, series: str
) -> tuple[Path, Slice]:
    url = _text(image, "ImageData/{*}ExamURL")
    name = re.split(r"[\\/]", url)[-1]
    if name in ("", ".", ".."):
        raise Unreadable(path, f"names no image file for a B-scan (ExamURL={url!r}); export it again")
    where = "OphthalmicAcquisitionContext/{*}"
    size = int(_text(image, where + "Height")), int(_text(image, where + "Width"))
    down, across = _text(image, where + "ScaleY"), _text(image, where + "ScaleX")
    spacing = (float(down), float(across)) if down and across else None
    return path.parent / name, Slice(size, spacing, side, patient, series, "oct")


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext("{*}" + name) or "").strip()
