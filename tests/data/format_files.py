"""Small files of every volume format, byte by byte as their formats say."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def volume(count: int = 3, rows: int = 10, cols: int = 16, dtype: str = "u1") -> np.ndarray:
    """``(B-scan, row, col)`` whole numbers over the range of the type."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(1).integers(0, top, (count, rows, cols), endpoint=True).astype(dtype)


def vol(values: np.ndarray, *, side: bytes = b"OD", patient: bytes = b"4711", scale=(0.0039, 0.0117)) -> bytes:
    """Heidelberg .vol of reflectivities; two layers before each B-scan, a fundus image of 4 x 5."""
    count, rows, cols = values.shape
    own = 256 + 2 * 4 * cols + 40
    head = struct.pack("<12s3I3d", b"HSF-OCT-103", cols, count, rows, scale[1], 0.12, scale[0])
    head += struct.pack("<2I2dId4sQiI", 5, 4, 0.01, 0.01, 30, 0.0, side, 0, 3, own)
    head += struct.pack("<16s16sI24sdI24sd", b"99", b"", 7, patient, 30000.0, 0, b"", 40000.0)
    head += struct.pack("<4I34s1790x", 0, 0, 0, 0, b"")
    assert len(head) == 2048
    body = bytes(range(20))
    for scan in values.astype("<f4"):
        body += struct.pack("<12sI4dIIfI6f168x", b"HSF-BS-103", own, 0, 0, 1, 0, 2, 256, 30.0, 0, *[0] * 6)
        body += np.full((2, cols), 3.0, "<f4").tobytes() + bytes(40) + scan.tobytes()
    return head + body


def e2e(
    series: Sequence[np.ndarray], *, sides: bytes = b"RL", patient: bytes = b"4711", told: int | None = None
) -> bytes:
    """Heidelberg .e2e: a directory a series, each with patient, side, B-scans of 16-bit codes (last one first)."""
    out = bytearray(struct.pack("<12sI20x", b"CMDb", 100) + struct.pack("<12sI20x4I", b"MDbMDir", 100, 512, 0, 0, 0))
    before = 0
    for number, codes in enumerate(series):
        count, rows, cols = codes.shape
        records = [
            (9, -1, 65535, bytes(102) + patient.ljust(25, b"\0") + bytes(4)),
            (11, -1, 65535, bytes(14) + sides[number : number + 1] + bytes(12)),
        ]
        for place in reversed(range(count)):
            meta = bytearray(428)
            struct.pack_into("<3I", meta, 0, 0, rows, cols)
            struct.pack_into("<f", meta, 36, 0.0039)
            struct.pack_into("<3I", meta, 60, cols, count if told is None else told, place)
            image = (
                struct.pack("<5I", 2 * rows * cols, 35652097, rows * cols, rows, cols)
                + codes[place].astype("<u2").tobytes()
            )
            records += [(10004, 2 * place, 1, bytes(meta)), (0x40000000, 2 * place, 1, image)]
        localizer = struct.pack("<5I", 6, 33620481, 6, 2, 3) + bytes(6)
        records.append((0x40000000, -1, 0, localizer))
        at = len(out)
        start = at + 52 + 44 * (len(records) + 1)
        out += struct.pack("<12sI20x4I", b"MDbDir", 100, len(records) + 1, at, before, 0)
        out += struct.pack("<4I4i2H2I", at, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0)  # a spare entry
        data = bytearray()
        for place, (kind, scan, which, content) in enumerate(records):
            ids = (1, 2, 10 + number, scan, which, 0, kind, 0)
            here = at + 52 + 44 * (place + 1)
            out += struct.pack("<4I4i2H2I", here, start + len(data), len(content), 0, *ids)
            data += struct.pack("<12s5I4i2H2I", b"MDbData", 0, here, start + len(data), len(content), 0, *ids) + content
        out += data
        before = at
    struct.pack_into("<I", out, 36 + 40, before)
    return bytes(out)


def fda(
    values: np.ndarray, *, side: int = 1, patient: bytes = b"4711", bare: bool = False, told: int | None = None
) -> bytes:
    """Topcon .fda with B-scans as lossless JPEG 2000, or bare 16 bit."""
    count, rows, cols = values.shape
    told = count if told is None else told
    if bare:
        name, data = (
            b"@IMG_MOT_COMP_03",
            struct.pack("<B4IBI", 0, cols, rows, 16, told, 0, 0) + values.astype("<u2").tobytes(),
        )
    else:
        name, data = b"@IMG_JPEG", struct.pack("<B6I", 0, 0, 0, cols, rows, told, 0)
        for scan in values:
            packed = BytesIO()
            Image.fromarray(scan).save(packed, "JPEG2000")
            data += struct.pack("<I", packed.tell()) + packed.getvalue()
    chunks = {
        b"@PATIENT_INFO_02": patient.ljust(32, b"\0") + b"Jane".ljust(32, b"\0"),
        b"@CAPTURE_INFO_02": bytes([side]) + bytes(117),
        b"@PARAM_SCAN_04": bytes(12) + struct.pack("<3d", 6.0, 6.0, 2.6) + bytes(20),
        name: data,
    }
    body = b"".join(bytes([len(k)]) + k + struct.pack("<I", len(v)) + v for k, v in chunks.items())
    return b"FOCTFDA" + struct.pack("<2I", 2, 1000) + body + b"\0"


MET = {"u1": "MET_UCHAR", "i2": "MET_SHORT", "u2": "MET_USHORT", "f4": "MET_FLOAT"}


def metaimage(
    values: np.ndarray, *, data: str = "LOCAL", packed: bool = False, big: bool = False, more: str = ""
) -> tuple[bytes, bytes]:
    """(header, pixels) of a MetaImage; for a .mha they are one file."""
    pixels = values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()
    if packed:
        pixels = zlib.compress(pixels)
        more += f"CompressedDataSize = {len(pixels)}\n"
    kind = MET[values.dtype.str[1:]]
    count, rows, cols = values.shape
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        f"BinaryDataByteOrderMSB = {big}",
        f"CompressedData = {packed}",
        "ElementSpacing = 0.0117 0.0039 0.12",
        f"DimSize = {cols} {rows} {count}",
        f"ElementType = {kind}",
    ]
    return ("\n".join(lines) + f"\n{more}ElementDataFile = {data}\n").encode(), pixels


NIFTI = {"u1": 2, "i2": 4, "f4": 16, "u2": 512}


def nifti(values: np.ndarray, *, units: int = 2, slope: float = 0.0, packed: bool = False) -> bytes:
    """NIfTI-1 in one file; ``(B-scan, row, col)`` in C order is its (col, row, B-scan) in Fortran's."""
    count, rows, cols = values.shape
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, cols, rows, count, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, NIFTI[values.dtype.str[1:]], 8 * values.dtype.itemsize)
    struct.pack_into("<8f", head, 76, 1, 0.0117, 0.0039, 0.12, 0, 0, 0, 0)
    struct.pack_into("<3fhBB", head, 108, 352.0, slope, 0.0, 0, 0, units)
    head[344:348] = b"n+1\0"
    whole = bytes(head) + values.astype(values.dtype.newbyteorder("<")).tobytes()
    return gzip.compress(whole) if packed else whole


def heyex_xml(
    folder: Path, values: np.ndarray, *, side: str = "R", told: int | None = None, name: str = "Müller"
) -> Path:
    """HEYEX XML export: ``scan.xml`` in UTF-8 by its word and Latin-1 in truth, a localizer, an image file a B-scan."""
    count, rows, cols = values.shape
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "slo.tif")
    images = image_xml("LOCALIZER", "slo.tif", 4, 4)
    for place, scan in enumerate(values):
        Image.fromarray(scan).save(folder / f"b{place}.tif")
        images += image_xml("OCT", f"b{place}.tif", rows, cols)
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<HEDX><BODY><Patient><ID>1</ID><PatientID>4711</PatientID>'
        f"<LastName>{name}</LastName><Study><Series><ID>5</ID><Laterality>{side}</Laterality>"
        f"<NumImages>{count + 1 if told is None else told}</NumImages>{images}</Series></Study></Patient></BODY></HEDX>"
    )
    (folder / "scan.xml").write_bytes(text.encode("latin-1"))
    return folder / "scan.xml"


def image_xml(kind: str, name: str, rows: int, cols: int) -> str:
    """One image of a series."""
    return (
        f"<Image><ImageType><Type>{kind}</Type></ImageType><OphthalmicAcquisitionContext><Width>{cols}</Width>"
        f"<Height>{rows}</Height><ScaleX>0.0117</ScaleX><ScaleY>0.0039</ScaleY><Start><Coord><X>1</X><Y>2</Y></Coord>"
        "</Start><End><Coord><X>3</X><Y>2</Y></Coord></End></OphthalmicAcquisitionContext><ImageData>"
        f"<ExamURL>file:///C:\\data\\{name}</ExamURL></ImageData></Image>"
    )


def png_claiming(rows: int, cols: int) -> bytes:
    """A PNG of a few bytes whose header claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">2I5B", cols, rows, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
