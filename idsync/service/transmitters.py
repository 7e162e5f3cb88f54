"""What the one who sends security event tokens tells of itself (SSF 1.0), and is asked for.

Addresses that it tells are used only where they lead to the host of the issuer: whoever
can write its metadata shall not choose where idsync's token goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from idsync.config import SetTable
from idsync.errors import ConfigError, Unavailable
from idsync.http import Api, check_url
from idsync.webhook import MOST_BYTES

WELL_KNOWN = "/.well-known/ssf-configuration"
POLL = "urn:ietf:rfc:8936"
WAIT_S = 10.0


def keys_url_of(sender: SetTable) -> str:
    """Return where the issuer publishes its keys, by its metadata.

    Raises:
        ConnectorError: it cannot be asked now, or says no.
        ConfigError: it tells of none, or of one at another host.
    """
    return _address(metadata(sender), "jwks_uri", sender, "keys_url")


def poll_url_of(sender: SetTable) -> str:
    """Return where the sender is polled: as written, or as its stream is set up.

    Raises:
        ConnectorError: it cannot be asked now, or says no.
        ConfigError: the stream is not one that is polled, or leads to another host.
    """
    if sender.poll_url is not None:
        return sender.poll_url
    url = _address(metadata(sender), "configuration_endpoint", sender, "poll_url")
    with _asked(url, sender, token=True) as api:
        stream = api.call("GET", "", query={"stream_id": sender.stream or ""}).body
    delivery = stream.get("delivery") if isinstance(stream, dict) else None
    if not isinstance(delivery, dict) or delivery.get("method") != POLL:
        raise ConfigError(
            f"the stream at {urlsplit(url).netloc} is not set up to be polled: let it be, or "
            'write delivery = "push"'
        )
    return _address(delivery, "endpoint_url", sender, "poll_url")


def ask_to_verify(sender: SetTable, state: str) -> None:
    """Ask for a verification event that says *state*.

    Raises:
        ConnectorError: it cannot be asked now, or says no.
        ConfigError: its metadata tells of no place to ask, or of one at another host.
    """
    url = _address(metadata(sender), "verification_endpoint", sender, "no stream")
    with _asked(url, sender, token=True) as api:
        api.raw("POST", "", data=json.dumps({"stream_id": sender.stream, "state": state}).encode(),
                headers={"Content-Type": "application/json"})  # fmt: skip


def metadata(sender: SetTable) -> Mapping[str, Any]:
    """Return what the issuer publishes of itself (SSF 1.0, transmitter configuration metadata).

    Raises:
        ConnectorError: it cannot be read now.
        ConfigError: it is another issuer's.
    """
    parts = urlsplit(sender.issuer)
    url = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"
    with _asked(url, sender, token=False) as api:
        found = api.call("GET", "").body
    if not isinstance(found, dict):
        raise Unavailable(f"{parts.netloc}: its metadata is no JSON object")
    if found.get("issuer") != sender.issuer:
        raise ConfigError(f"{parts.netloc}: its metadata is of another issuer: correct issuer")
    return found


def _address(told: Mapping[str, Any], name: str, sender: SetTable, key: str) -> str:
    host = urlsplit(sender.issuer).netloc
    url = told.get(name)
    if not isinstance(url, str):
        raise ConfigError(f"{host}: its metadata tells no {name}: write {key} instead")
    parts, own = urlsplit(url), urlsplit(sender.issuer)
    if (parts.scheme, parts.netloc.lower()) != (own.scheme, own.netloc.lower()):
        raise ConfigError(f"{host}: its {name} leads to another host: write {key} instead")
    try:
        return check_url(url)
    except ValueError as error:
        raise ConfigError(f"{host}: its {name} cannot be called: {error}") from None


@contextmanager
def _asked(url: str, sender: SetTable, *, token: bool) -> Iterator[Api]:
    api = Api(
        url, token=sender.token if token else None, ca_file=sender.ca_file, timeout_s=WAIT_S / 2,
        deadline_s=WAIT_S, max_bytes=MOST_BYTES, connections=1, returned=frozenset(),
    )  # fmt: skip
    try:
        yield api
    finally:
        api.close()
