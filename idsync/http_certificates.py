"""When the certificates of a service, and idsync's own, come to their end: told in time."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

WAIT_S = 10.0


def end_of_service(url: str, ca_file: Path | None, client: Path | None) -> datetime | None:
    """Return when the certificate ends that the service at *url* shows now.

    None where it shows none that is trusted: what is wrong there, the first call tells.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    with suppress(OSError, ValueError):  # of TLS too
        context = ssl.create_default_context(cafile=ca_file)
        if client is not None:
            context.load_cert_chain(client)
        where = (parts.hostname, parts.port or 443)
        with (
            socket.create_connection(where, timeout=WAIT_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            shown = secured.getpeercert() or {}
            return _instant(str(shown["notAfter"])) if "notAfter" in shown else None
    return None


def _instant(told: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told), UTC)


def end_of_file(file: Path) -> datetime | None:
    """Return when the certificate in a PEM file ends; None where none can be read."""
    from cryptography.x509 import load_pem_x509_certificate

    with suppress(OSError, ValueError):
        return load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    return None
