"""Whether each sender of events could be recognised, and asked, as it is configured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from idsync.config import Config, SetTable, WebhookTable
from idsync.errors import ConfigError, ConnectorError
from idsync.service.graph import reach_graph
from idsync.service.keyrings import Keyring
from idsync.service.transmitters import metadata, poll_url_of
from idsync.together import workers
from idsync.webhook import key_of


def reach_senders(config: Config, clock: Callable[[], datetime]) -> dict[str, str]:
    """Return by sender what is wrong, "" where nothing is.

    The keys of webhooks are read where they are kept. Issuers of tokens are asked for their
    keys, and for the stream where there is one. At a Graph idsync signs in and lists. Nothing
    is set up anywhere, and no event is fetched.
    """

    def one(name: str) -> str:
        sender = config.events.subscribed.get(name) or config.events.senders[name]
        try:
            if isinstance(sender, WebhookTable):
                _read_keys(sender)
            elif isinstance(sender, SetTable):
                _ask_issuer(name, sender, clock())
            else:
                reach_graph(name, sender, clock)
        except (ConnectorError, ConfigError) as error:
            return str(error)
        return ""

    names = [*config.events.senders, *config.events.subscribed]
    with workers(len(names)) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def _read_keys(sender: WebhookTable) -> None:
    for secret in sender.keys:
        key_of(secret.reveal())


def _ask_issuer(name: str, sender: SetTable, now: datetime) -> None:
    Keyring(name, sender).read(now)
    for secret in (sender.authorization, sender.token):
        if secret is not None:
            secret.reveal()
    if sender.delivery == "poll":
        poll_url_of(sender)
    elif sender.stream is not None:
        metadata(sender)
