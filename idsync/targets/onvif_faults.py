"""What the faults of an ONVIF device mean, in words of our own.

A fault carries subcodes such as ter:InvalidArgVal and, inside, ter:ReferenceNotFound (ONVIF
Core Specification, SOAP faults; Credential Service Specification 19.12, faults of each command).
The text that a device writes beside them is never shown: it may repeat what it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from idsync.errors import Denied, Refused, Unavailable

SENTENCES = {
    "NotFound": "it no longer holds what this is about: plan again",
    "ReferenceNotFound": "it does not know the access profile any more: plan again",
    "DuplicatedIdentifierValue": "the card is another credential's already: look who holds it",
    "DuplicatedIdentifierType": "the credential has a card already: give the person another one",
    "InvalidFormatType": "it does not take this format of cards: check format_type",
    "InvalidIdentifierValue": "the number is none of this format: check format_type and bits",
    "SupportedIdentifierType": "it does not take cards: check that its readers are card readers",
    "SupportedExemptionType": "it knows no exemptions: change this credential by hand",
    "MaxCredentials": "it is full: delete credentials, or extend the device",
    "MaxAccessProfilesPerCredential": "a card can hold no more access profiles: join profiles",
    "CredentialValiditySupported": "it knows no dates of credentials: correct the profile",
    "CredentialAccessProfileValiditySupported": "it knows no dates of rights: correct the profile",
    "ClientSuppliedTokenSupported": "it makes tokens itself, and said otherwise: update it",
    "MinIdentifiersPerCredential": "a credential needs an identifier: change it by hand",
    "ReferenceInUse": "it is in use elsewhere on the device: change it by hand",
    "TooManyItems": "too much was asked at once: lower page_size",
    "InvalidStartReference": "its list changed while it was read: read again",
    "ActionNotSupported": "it does not know this command: update it, or check its licence",
    "InvalidArgVal": "it does not accept a value: compare with the device's manual",
    "InvalidArgs": "it does not accept this: compare with the device's manual",
    "WellFormed": "it could not read what was sent: report it to the maker",
}  # fmt: skip
"""Why a device refuses one thing, by the word in its fault, with what to do now."""

CLOSED = frozenset(
    {"NotAuthorized", "SenderNotAuthorized", "FailedAuthentication", "OperationProhibited",
     "InvalidSecurity", "InvalidSecurityToken", "MessageExpired"}
)  # fmt: skip
"""Words for: this account, with this password and at this time, may not do that."""


class Faulted(Refused):
    """A fault; `word` is the innermost that is known, "" if none is."""

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


def raise_fault(where: str, words: Sequence[str], *, by_device: bool) -> None:
    """Raise what a fault means. *by_device*: it says that the failure is its own.

    Raises:
        Denied: the account may not do that.
        Unavailable: the device could not, for a reason of its own.
        Faulted: it will not do this one thing.
    """
    if CLOSED.intersection(words):
        raise Denied(
            f"{where}: not authorized: check user and password, that the account is an "
            "administrator of the device, and that both clocks are right"
        )
    known = [word for word in words if word in SENTENCES]
    if known:
        raise Faulted(f"{where}: refused, {known[-1]}: {SENTENCES[known[-1]]}", known[-1])
    if by_device:
        raise Unavailable(f"{where}: the device reports a failure: idsync tries again later")
    raise Faulted(f"{where}: refused without a word that is known: see the device's log", "")
