"""Card numbers and the hexadecimal identifiers that an ONVIF device keeps of them.

A CredentialIdentifier has a type name (pt:Card …), a format type and a value of hex digits
(ONVIF Credential Service Specification 19.12, 5.3.2.3 to 5.3.2.5). The format types are those
of BACnet, ISO 16484-5 Annex P: octets with the most significant first, and zeros in front.
How a Wiegand number lies in its octets was not read there but in a conformance tester's
source, which puts parity bits around it: hence the setting `parity`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from idsync.errors import Refused

CARD = "pt:Card"

BITS = {
    "SIMPLE_NUMBER16": 16,
    "SIMPLE_NUMBER32": 32,
    "SIMPLE_NUMBER56": 56,
    "WIEGAND26": 24,  # 8 of the facility and 16 of the card, without parity
    "WIEGAND37": 35,
    "FACILITY16_CARD32": 48,
    "FACILITY32_CARD32": 64,
    "GUID": 128,
}
"""How many bits a number of a format type has; of any other the settings must say."""

HEX = re.compile(r"[0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier of a credential: its type name, its format type and its hex digits."""

    type: str
    format: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The one way in which this site writes card numbers.

    decimal: the number of all bits together, at least *digits* long. hex: the octets as the
    device has them, of any length where *bits* is None.
    """

    format: str
    bits: int | None
    style: Literal["decimal", "hex"] = "decimal"
    digits: int = 1
    parity: bool = False

    def shown(self, identifiers: Sequence[Identifier], token: str) -> tuple[str, str]:
        """Return number and medium of a credential.

        A card of another format is shown as FORMAT:HEX. What has no card is known by its
        token alone: a PIN or a fingerprint is no number to be shown.
        """
        for one in identifiers:
            if one.type == CARD:
                return self._card_number(one), "card"
        names = sorted(one.type for one in identifiers)
        medium = names[0].removeprefix("pt:").lower() if names else "card"
        return f"token:{token}", medium

    def value(self, number: str) -> str:
        """Return the hex digits of a card number.

        Raises:
            Refused: it is no such number, or would not be read back as it is.
        """
        if self.style == "hex":
            return self._from_hex(number)
        if not (number.isascii() and number.isdecimal()):
            raise Refused("a card number is not written in digits: correct the record")
        plain = int(number)
        if self.bits is None or plain >= 1 << self.bits:
            raise Refused(
                f"a card number needs more than the {self.bits} bits of {self.format}: "
                "compare format_type with the cards"
            )
        if number != self._decimal(plain):
            raise Refused(
                "a card number would be read back with other zeros in front: "
                "set card_digits to how many digits the numbers have"
            )
        return self._encoded(plain)

    def _card_number(self, one: Identifier) -> str:
        value = one.value.strip().upper()
        if one.format == self.format and HEX.fullmatch(value):
            if self.style == "hex":
                return value
            plain = self._decoded(int(value, 16))
            if plain is not None:
                return self._decimal(plain)
        return f"{one.format}:{value}"

    def _decimal(self, plain: int) -> str:
        return str(plain).zfill(self.digits)

    def _from_hex(self, number: str) -> str:
        if not HEX.fullmatch(number) or number != number.upper():
            raise Refused("a card number is not written in hex digits 0-9, A-F: correct the record")
        octets = None if self.bits is None else (self.bits + 7) // 8
        if len(number) % 2 or (octets is not None and len(number) != 2 * octets):
            told = "an even number of" if octets is None else f"{2 * octets}"
            raise Refused(f"a card number must have {told} hex digits: correct the record")
        return number

    # ── parity: even over the first half, odd over the last, the middle bit in both ─────────

    def _encoded(self, plain: int) -> str:
        bits = self.bits or 0
        if self.parity:
            first, last = self._parities(plain)
            plain, bits = (first << bits + 1) | (plain << 1) | last, bits + 2
        return f"{plain:0{(bits + 7) // 8 * 2}X}"

    def _decoded(self, raw: int) -> int | None:
        """Return the number, or None if it is none of this format."""
        bits = self.bits or 0
        if not self.parity:
            return raw if raw < 1 << bits else None
        plain = (raw >> 1) & ((1 << bits) - 1)
        first, last = self._parities(plain)
        return plain if raw == (first << bits + 1) | (plain << 1) | last else None

    def _parities(self, plain: int) -> tuple[int, int]:
        bits = self.bits or 0
        half = (bits + 1) // 2
        first = (plain >> bits - half).bit_count() % 2
        last = 1 - (plain & (1 << half) - 1).bit_count() % 2
        return first, last
