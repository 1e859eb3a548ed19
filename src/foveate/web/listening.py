"""The socket that a server listens on."""

from __future__ import annotations

import socket


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; from now on nobody is refused, and who comes early waits.

    Args:
        host: an address of this machine.
        port: 0 = any that is free.

    Raises:
        ValueError: the address cannot be used, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ValueError(
            f"host={host!r}, port={port}: cannot listen there ({error.strerror}); give another host or port"
        ) from None
    return listener
