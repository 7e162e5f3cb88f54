"""Whether a device can be worked with, in a sentence for each way in which it cannot."""

from __future__ import annotations

from datetime import UTC, datetime

from idsync.errors import ConfigError, Denied, Unavailable
from idsync.targets.onvif_device import Device
from idsync.targets.onvif_faults import Faulted
from idsync.targets.onvif_numbers import CARD

CLOSE_S = 5
"""A UsernameToken may be some seconds old; devices commonly allow about five."""


def checked(device: Device, *, own_clock: bool) -> str:
    """Return what answered, having asked everything that reading needs, and written nothing.

    *own_clock*: logins are dated by this machine's clock.

    Raises:
        ConnectorError, ConfigError: as `Target.check` says.
    """
    soap = device.soap
    try:
        theirs = soap.clock()  # anybody may ask: tells a wrong host from a wrong password
    except Faulted:
        raise Unavailable(
            "something speaks SOAP here that is no ONVIF device service: check the url's path"
        ) from None
    features = device.features
    try:
        told = soap.call("device", "GetDeviceInformation")
        soap.call("credential", "GetCredentialInfoList", Limit=1)
    except Denied:
        off = abs((theirs - datetime.now(UTC)).total_seconds()) if theirs else 0.0
        if off > CLOSE_S and own_clock:
            raise Denied(
                f"the device's clock is {off:.0f} s off, and so it may refuse the login: set "
                "its time, or device_clock = true"
            ) from None
        raise Denied(
            "the device does not accept user and password: check them and the login "
            "(digest or wsse)"
        ) from None
    try:
        soap.call("credential", "GetCredentialList", Limit=1)
    except Denied:
        raise Denied(
            "the account may not read credentials (access class READ_SYSTEM_SECRET): make it "
            "an administrator of the device"
        ) from None
    if not features.most_cards:
        raise ConfigError(
            "the device holds no credentials (MaxCredentials is 0), only lists of numbers: "
            "this connector does not fit it"
        )
    _check_format(device)
    return f"{told.Manufacturer} {told.Model} {told.FirmwareVersion}, ONVIF Profile A"


def _check_format(device: Device) -> None:
    if CARD not in device.features.types:
        raise ConfigError("the device takes no cards (pt:Card): this connector does not fit it")
    try:
        offered = device.soap.call(
            "credential", "GetSupportedFormatTypes", CredentialIdentifierTypeName=CARD
        )
    except Faulted:
        return  # it does not tell; the first card will
    formats = sorted(each.FormatType for each in offered or ())
    if device.numbers.format not in formats:
        raise ConfigError(
            f"format_type {device.numbers.format} is none of the device's formats of cards "
            f"({', '.join(formats)})"
        )
