"""Whom a connection trusts, and as whom it shows itself: read once, until a file changes."""

from __future__ import annotations

import ssl
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TypeAlias

from idsync.errors import ConfigError

KEPT = 64

Stamp: TypeAlias = tuple[str, int, int, int]
_kept: OrderedDict[tuple[Stamp | None, ...], ssl.SSLContext] = OrderedDict()
_turn = threading.Lock()


def context_of(ca_file: Path | None, client_certificate: Path | None) -> ssl.SSLContext:
    """Return what trusts the authorities of *ca_file*, or else the system's, and no other.

    To read the authorities of a system takes tens of milliseconds, and somebody who revokes
    waits for it at every target: what was read counts until one of the files is another.
    *client_certificate* is a PEM file with certificate and key. May be asked from any thread.

    Raises:
        ConfigError: one of the files cannot be used.
    """
    system = ssl.get_default_verify_paths()
    files = [ca_file] if ca_file else [system.cafile, system.capath]
    stamps = tuple(_stamp(file) for file in (*files, client_certificate))
    with _turn:
        context = _kept.get(stamps)
        if context is None:
            context = _kept[stamps] = _read(ca_file, client_certificate)
        _kept.move_to_end(stamps)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
        return context


def _stamp(file: str | Path | None) -> Stamp | None:
    """Return what tells a file from what it was before; None where there is none."""
    if file is None:
        return None
    try:
        found = Path(file).stat()
    except OSError:
        return (str(file), 0, 0, 0)  # to be read, and refused, each time
    return (str(file), found.st_ino, found.st_size, found.st_mtime_ns)


def _read(ca_file: Path | None, client_certificate: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError):
        raise ConfigError(
            f"ca_file {ca_file} holds no certificates that can be read: "
            "check the path, its rights, and that it is PEM"
        ) from None
    if client_certificate is not None:
        try:
            context.load_cert_chain(client_certificate)
        except (OSError, ValueError):
            raise ConfigError(
                f"client_certificate {client_certificate} cannot be used: it has to be "
                "a PEM file with the certificate and its key, without a password"
            ) from None
    return context
