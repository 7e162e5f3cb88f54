"""The on-call is told by a signed webhook, in the form of Standard Webhooks."""

from __future__ import annotations

from urllib.parse import urlsplit

from idsync.config.oncall import WebhookTable
from idsync.errors import Refused
from idsync.http import Api
from idsync.service.calling_words import Message, body_of
from idsync.webhook import signature_of, signing_key_of

WAIT_S, DEADLINE_S = 10.0, 30.0
MOST_BYTES = 64 * 1024
"""Of the answer, which nobody reads."""


def post(webhook: WebhookTable, message: Message) -> None:
    """Post *message*; when this returns, somebody has answered that it came.

    Raises:
        ConnectorError: it did not come, or nobody knows.
        ConfigError: the key or the token cannot be read, or is none.
    """
    key = signing_key_of(webhook.key.reveal())
    body, seconds = body_of(message), str(int(message.at.timestamp()))
    api = Api(
        webhook.url, token=webhook.token, ca_file=webhook.ca_file, timeout_s=WAIT_S,
        deadline_s=DEADLINE_S, max_bytes=MOST_BYTES,
    )  # fmt: skip
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": seconds,
        "webhook-signature": signature_of(key, message.id, seconds, body),
    }
    try:
        answer = api.raw("POST", "", data=body, headers=headers)
    finally:
        api.close()
    if answer.status >= 300:
        host = urlsplit(webhook.url).netloc
        raise Refused(f"{host}: answered {answer.status}: check [oncall.webhook] url and key")


def look(webhook: WebhookTable) -> None:
    """Look whether the key could sign; nothing is sent.

    Raises:
        ConfigError: the key or the token cannot be read, or is none.
    """
    signing_key_of(webhook.key.reveal())
    if webhook.token is not None:
        webhook.token.reveal()
