"""DICOM files of ophthalmic photography and tomography, as small as they may be."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.5.4"
PHOTOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.5.1"


def dicom(path: Path, pixels: np.ndarray, *, colours: str = "MONOCHROME2", bits: int | None = None) -> FileDataset:
    """A data set of ``(frame, row, col[, channel])``, not yet written; its pixels are not compressed."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    several = len(pixels) > 1
    meta.MediaStorageSOPClassUID = TOMOGRAPHY if several else PHOTOGRAPHY
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Modality = "OPT" if several else "OP"
    file.PatientID, file.PatientName = "4711", "Doe^Jane"
    file.ImageLaterality = "R"
    file.Rows, file.Columns = pixels.shape[1:3]
    file.SamplesPerPixel = pixels.shape[3] if pixels.ndim == 4 else 1
    if file.SamplesPerPixel > 1:
        file.PlanarConfiguration = 0
    if several:
        file.NumberOfFrames = len(pixels)
    file.PhotometricInterpretation = colours
    file.BitsAllocated = 8 * pixels.dtype.itemsize
    file.BitsStored = bits or file.BitsAllocated
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    raw = pixels.tobytes()
    file.PixelData = raw + bytes(len(raw) % 2)
    return file


def item(**values: object) -> Dataset:
    """A data set of these keywords."""
    out = Dataset()
    for key, value in values.items():
        setattr(out, key, value)
    return out


def tomography(path: Path, pixels: np.ndarray) -> FileDataset:
    """A volume whose spacing is shared, and whose frames say their side."""
    file = dicom(path, pixels)
    measures = Sequence([item(PixelSpacing=[0.0039, 0.0117], SliceThickness=0.12)])
    file.SharedFunctionalGroupsSequence = Sequence([item(PixelMeasuresSequence=measures)])
    anatomy = Sequence([item(FrameLaterality="L")])
    file.PerFrameFunctionalGroupsSequence = Sequence([item(FrameAnatomySequence=anatomy) for _ in pixels])
    return file


def jpeg(path: Path, pixels: np.ndarray) -> FileDataset:
    """A data set with each frame as baseline JPEG, colours as YBR."""
    colour = pixels.ndim == 4
    file = dicom(path, pixels, colours="YBR_FULL_422" if colour else "MONOCHROME2")
    packed = []
    for frame in pixels:
        data = BytesIO()
        Image.fromarray(frame).save(data, "JPEG", quality=100, subsampling=2 if colour else -1)
        packed.append(data.getvalue())
    file.PixelData = encapsulate(packed)
    file["PixelData"].is_undefined_length = True
    file.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return file
