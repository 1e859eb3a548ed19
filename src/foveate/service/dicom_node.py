"""A DICOM node: takes images by C-STORE, answers C-ECHO, and sends objects to an archive."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foveate.service.jobs import Jobs, QueueFullError

TAKEN = (
    "1.2.840.10008.5.1.4.1.1.77.1.5.1",  # Ophthalmic Photography, 8 bit
    "1.2.840.10008.5.1.4.1.1.77.1.5.2",  # Ophthalmic Photography, 16 bit
    "1.2.840.10008.5.1.4.1.1.77.1.5.4",  # Ophthalmic Tomography
    "1.2.840.10008.5.1.4.1.1.77.1.5.7",  # Ophthalmic Optical Coherence Tomography En Face; not in pynetdicom's defaults
    "1.2.840.10008.5.1.4.1.1.77.1.4",  # VL Photographic
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.2",  # Secondary Capture of several grey frames
    "1.2.840.10008.5.1.4.1.1.7.4",  # Secondary Capture of several colour frames
)
SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.70",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE
)
SUCCESS, OUT_OF_RESOURCES, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000
LARGEST = 2 * 2**30
"""Bytes of one object; a volume of 512 B-scans of 1024 x 1536 pixels has 0.8 GB."""


def start_node(
    jobs: Jobs, *, title: str = "FOVEATE", host: str = "127.0.0.1", port: int = 11112, callers: Sequence[str] = ()
) -> Any:
    """Start a node in threads of its own; return the server (``shutdown()`` stops it).

    An image is answered with success once it is on disk as a job. If the queue is full or the disk does not take it,
    the answer is 0xA700 (out of resources): the sender keeps it and tries again.

    Args:
        jobs: where images go.
        title: application entity title.
        host: address to listen on.
        port: 0 = any that is free.
        callers: titles that may send; none = any.

    Raises:
        OSError: the port is taken.
    """
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import Verification

    node = AE(ae_title=title)
    node.require_calling_aet = list(callers)
    node.require_called_aet = True
    node.maximum_associations = 32
    node.network_timeout = node.acse_timeout = node.dimse_timeout = 30
    node.add_supported_context(Verification)
    for uid in TAKEN:
        node.add_supported_context(uid, list(SYNTAXES))

    def store(event: Any) -> int:
        return keep(event, jobs)

    return node.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])


def keep(event: Any, jobs: Jobs) -> int:
    """Keep one received object as a job; return the status of the answer."""
    try:
        data = event.encoded_dataset()  # the bytes as they were sent, with a file's head
    except Exception:  # whatever a sender got wrong
        return NOT_UNDERSTOOD
    if len(data) > LARGEST:
        return OUT_OF_RESOURCES
    try:
        jobs.accept(data)
    except (QueueFullError, OSError):
        return OUT_OF_RESOURCES
    return SUCCESS


def sender(address: str, *, title: str = "FOVEATE") -> Callable[[Sequence[Path]], str | None]:
    """Make a function that sends files to an archive by C-STORE.

    Args:
        address: ``TITLE@HOST:PORT``.
        title: of the caller.

    Raises:
        ValueError: the address is malformed.
    """
    called, _, place = address.partition("@")
    host, _, port = place.rpartition(":")
    if not (0 < len(called) <= 16 and host and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"send={address!r}: write TITLE@HOST:PORT, such as ORTHANC@127.0.0.1:4242")

    def send(files: Sequence[Path]) -> str | None:
        from pydicom import dcmread
        from pynetdicom import AE

        sets = [dcmread(io.BytesIO(path.read_bytes())) for path in files]
        node = AE(ae_title=title)
        node.network_timeout = node.acse_timeout = node.dimse_timeout = 30
        for uid in {str(one.SOPClassUID) for one in sets}:
            node.add_requested_context(uid, SYNTAXES[0])
        link = node.associate(host, int(port), ae_title=called)
        if not link.is_established:
            return "the archive does not answer, or does not know this title"
        try:
            for one in sets:
                status = link.send_c_store(one)
                if status.get("Status") != SUCCESS:
                    return f"status {status.get('Status', 'missing')!r} for {one.SOPClassUID.name}"
        finally:
            link.release()
        return None

    return send
