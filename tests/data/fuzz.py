"""Damaged files by the thousand: whatever is read, it is read or refused with a ValueError, soon, and nothing else.

    python tests/data/fuzz.py --minutes 10 [--seed 0] [--keep DIR]

Each worker writes an input down before it tries it, so that one that kills or hangs it is found again. What fails is
kept in DIR; exit status 1 if anything did.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from dicom_files import dicom, jpeg, tomography
from format_files import e2e, fda, heyex_xml, metaimage, nifti, vol, volume
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.adapters._description import describe
from foveate.data.manifest import Manifest

SECONDS = 10
"""What one small file may take."""
PIXELS = 1 << 20
"""Instead of Pillow's limit: a header that truly claims 150 million pixels is decoded, and takes its time."""
MEMORY = 8 << 30
"""Bytes a worker may take: less than twice what the largest image that is decoded needs."""
WORDS = (
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"-1",
    b"1e999",
    b"NaN",
    b"\n",
)
WORDS += (
    b"99999999999999999999",
    b"null",
    b'"',
    b"\xc3\x28",
    b"..",
    b"0",
    b"&a;",
    b"<HEDX>",
    b" = ",
    b"\xef\xbb\xbf",
    b"(?P<a>",
)

MANIFEST = (
    b'{"foveate": 1, "schema": {"questions": [{"name": "fluid", "evidence": ["fluid"]}], "labels": ["fluid"]}}\n'
    b'{"id": "a", "image": "a.png", "answers": {"fluid": "yes"}, "masks": {"fluid": [{"path": "m.png", "bit": 0, '
    b'"frame": 3}]}, "spacing": [0.1, 0.1]}\n'
    b'{"id": "b", "image": "b.vol", "frame": 2, "position": 2, "laterality": "OD", "split": "train", '
    b'"masks": {"fluid": "absent"}}\n'
)
TOML = rb"""name = "own"
images = ["images/*.png"]
file_name = '(?P<patient>\d+)_(?P<eye>OD|OS)'
spacing = [0.01, 0.01]
[columns]
patient = "patient"
laterality = { column = "eye", values = { OD = "od" } }
[questions.grade]
column = "grade"
values = { "0" = "no", "1" = "yes" }
evidence = "lesion"
[labels.lesion]
masks = "masks/{id}.png"
index = [1, 2]
missing = "absent"
"""


def seeds(folder: Path) -> dict[str, bytes]:
    """A small valid file of every kind."""
    values, found = volume(2, 8, 9), {}
    colours = volume(1, 8, 27).reshape(1, 8, 9, 3)

    def saved(name: str, save: Callable[[Path], object]) -> None:
        save(folder / "seed")
        found[name] = (folder / "seed").read_bytes()

    for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000"):
        saved(kind, partial(Image.fromarray(colours[0]).save, format=kind))
    exif = Image.Exif()
    exif[read.ORIENTATION] = 6
    saved("turned", partial(Image.fromarray(colours[0]).save, format="JPEG", exif=exif))
    saved("16 bit", partial(Image.fromarray(volume(1, 8, 9, "u2")[0]).save, format="PNG"))
    saved("palette", partial(Image.fromarray(colours[0]).quantize(4).save, format="PNG", transparency=bytes(4)))
    saved("CMYK", partial(Image.fromarray(colours[0]).convert("CMYK").save, format="TIFF", compression="tiff_lzw"))
    pages = [Image.fromarray(scan) for scan in values]
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        saved(f"pages {kind}", partial(pages[0].save, format=kind, save_all=True, append_images=pages[1:]))
    saved("dicom", lambda path: tomography(path, values).save_as(path))
    saved("dicom jpeg", lambda path: jpeg(path, colours).save_as(path))
    saved("dicom rgb", lambda path: dicom(path, colours, colours="RGB").save_as(path))
    for syntax in (JPEG2000Lossless, JPEGLSLossless, RLELossless):
        file = tomography(folder / "seed", volume(2, 32, 33))
        file.compress(syntax)
        saved(f"dicom {syntax.name}", lambda path, file=file: file.save_as(path))
    found["vol"] = vol(values / np.float32(255))
    found["e2e"] = e2e([values.astype(np.uint16)])
    found["fda"], found["fda bare"] = fda(values), fda(values, bare=True)
    found["mha"], found["mha packed"] = b"".join(metaimage(values)), b"".join(metaimage(values, packed=True))
    found["nii"], found["nii.gz"] = nifti(values), nifti(values, packed=True)
    found["nii float"] = nifti(values / np.float32(255), slope=0.5)
    found["xml"] = heyex_xml(folder, values).read_bytes()
    return found | {"manifest": MANIFEST, "toml": TOML}


def damaged(data: bytes, rng: np.random.Generator, others: Mapping[str, bytes]) -> bytes:
    """The bytes with one to eight things done to them."""
    out = bytearray(data)
    for _ in range(min(8, int(rng.geometric(0.4)))):
        at = int(rng.integers(0, len(out) + 1)) if rng.random() < 0.5 else int(rng.integers(0, min(len(out), 400) + 1))
        far = min(len(out), at + int(rng.integers(0, 64)))
        what = int(rng.integers(0, 9))
        word = WORDS[int(rng.integers(len(WORDS)))]
        if what <= 2 and at < len(out):
            out[at] ^= 1 << int(rng.integers(8))
        elif what == 3 and at < len(out):
            out[at] = int(rng.integers(256))
        elif what == 4:
            out[at : at + len(word)] = word
        elif what == 5:
            out[at:at] = word
        elif what == 6:
            del out[at:far]
        elif what == 7:
            out[at:at] = out[at:far] * int(rng.integers(1, 4))
        elif rng.random() < 0.3:
            del out[at:]
        else:
            other = others[list(others)[int(rng.integers(len(others)))]]
            out[at:far] = other[at:far]
    return bytes(out)


def attempt(kind: str, path: Path) -> str:
    """Read a file in every way; "read" or "refused".

    Raises:
        Exception: whatever else than a ValueError comes of it, and a size that is not the image's.
    """
    try:
        if kind == "manifest":
            Manifest.read(path)
        elif kind == "toml":
            describe(path)
        else:
            for frame in range(min(3, read.frames(path))):
                shape = read.size(path, frame=frame)
                image = read.image(path, frame=frame)
                assert (image.shape, image.dtype) == ((*shape, 3), np.uint8), f"{image.shape} is not {shape}"
                sources = (MaskSource(path.name, above=0.5, frame=frame),)
                row = Row("a", path.name, masks={"a": sources})
                read.masks(row, path.parent, LabelSchema(labels=("a",)), shape=shape)
    except ValueError:
        return "refused"
    return "read"


def work(folder: Path, seed: int, until: float, found: multiprocessing.Queue) -> None:
    """Damage and read until the time is over; sends (kind, result) and what was wrong."""

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = PIXELS
    whole, rng = seeds(folder), np.random.default_rng(seed)
    kinds = list(whole)
    counts: Counter[tuple[str, str]] = Counter()
    while time.time() < until:
        kind = kinds[int(rng.integers(len(kinds)))]
        data = damaged(whole[kind], rng, whole)
        (folder / "now").write_bytes(data)
        (folder / "kind").write_text(kind)
        signal.alarm(SECONDS)
        try:
            counts[kind, attempt(kind, folder / "now")] += 1
        except Exception as error:
            signal.alarm(0)
            counts[kind, "FAILED"] += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            found.put((kind, f"{type(error).__name__} {Path(place.filename).name}:{place.lineno} {error}"[:300], data))
        finally:
            signal.alarm(0)
    found.put(("", counts, b""))


def main() -> int:
    """Fuzz for some minutes; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz_found"))
    said = parser.parse_args()
    until, seed = time.time() + 60 * said.minutes, said.seed
    failures: dict[str, tuple[str, bytes]] = {}
    total: Counter[tuple[str, str]] = Counter()
    spawn = multiprocessing.get_context("spawn")
    while time.time() < until:
        with tempfile.TemporaryDirectory() as name:
            folder, queue = Path(name), spawn.Queue()
            stop = min(until, time.time() + 60)
            worker = spawn.Process(target=work, args=(folder, seed, stop, queue))
            worker.start()
            done = False
            while not done and (worker.is_alive() or not queue.empty()) and time.time() < stop + 60:
                try:
                    kind, text, data = queue.get(timeout=1)
                except Exception:
                    continue
                if isinstance(text, Counter):
                    total += text
                    done = True
                else:
                    failures.setdefault(f"{kind}: {text.partition(' ')[0]} {text.split()[1]}", (text, data))
            if not done and (folder / "now").exists():
                worker.kill()
                kind = (folder / "kind").read_text()
                failures[f"{kind}: worker ended with {worker.exitcode}, seed {seed}"] = (
                    "",
                    (folder / "now").read_bytes(),
                )
            worker.join()
        seed += 1
    for (kind, result), count in sorted(total.items()):
        print(f"{kind:40} {result:8} {count}")
    print(f"{sum(total.values())} files, {len(failures)} ways to fail")
    for number, (name, (text, data)) in enumerate(failures.items()):
        said.keep.mkdir(exist_ok=True)
        (said.keep / f"{number}.bin").write_bytes(data)
        print(f"{number}.bin {name} | {text}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
