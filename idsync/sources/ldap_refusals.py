"""What a refusal or a broken connection means for whoever reads the message.

A server's own text is never passed on: it may quote what was asked or found.
"""

from __future__ import annotations

import re
import ssl

from ldap3.core.results import RESULT_CODES

from idsync.errors import ConfigError, ConnectorError, Denied, IdsyncError, Incomplete, Unavailable
from idsync.sources.ldap_ber import Result

# Result codes: RFC 4511, section 4.1.9 and appendix A.
SUCCESS = 0
LIMITS = {3, 4, 11}  # time, size, administrative
TLS_FIRST = {8, 13}  # stronger authentication, confidentiality
REFERRAL, NO_PAGING, NO_SUCH_OBJECT, INVALID_NAME = 10, 12, 32, 34
NO_RIGHT = {8, 13, 48, 49, 50}
NO_ACCOUNT = {7, 19, 32, 34, 48, 49, 50, 53}
BUSY = {51, 52}

# Verification results: X509_STORE_CTX_get_error(3) of OpenSSL.
NOT_YET_VALID, EXPIRED, OTHER_HOST, OTHER_ADDRESS = 9, 10, 62, 64

# What Active Directory writes into a refused bind: [MS-ERREF], section 2.2, in hexadecimal.
ACCOUNT = {
    b"530": "it may not log on at this hour",
    b"532": "its password has expired",
    b"533": "it is disabled",
    b"701": "it has expired",
    b"773": "its password must be changed first",
    b"775": "it is locked",
}


class Lost(Exception):
    """The connection cannot be used any more. The text says what happened."""


def named(code: int) -> str:
    """Return a result code with its name."""
    return f"result {code} {RESULT_CODES.get(code, 'unknown')}"


def reason(error: BaseException, seconds: int) -> str:
    """Say why a connection broke. What ldap3 writes is looked at and never passed on."""
    text = str(error)
    if isinstance(error, TimeoutError) or "timed out" in text:
        return f"no answer for {seconds} s"
    if isinstance(error, ConnectionResetError) or "reset by peer" in text:
        return "the connection was reset"
    if "refused" in text:
        return "the connection is refused"
    if "invalid server address" in text:
        return "no address is known for the host in url"
    return "the connection broke"


def untrusted(where: str, error: ssl.SSLError) -> IdsyncError:
    """Return the error for a TLS handshake that failed with *error*."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(f"{where}: TLS was not agreed: check that the port of url speaks TLS")
    if error.verify_code in (EXPIRED, NOT_YET_VALID):
        return Unavailable(
            f"the certificate of {where} is not valid today: have it renewed, or check the clock"
        )
    if error.verify_code in (OTHER_HOST, OTHER_ADDRESS):
        return ConfigError(
            f"the certificate of {where} is for another host: write in url the name it is for"
        )
    return ConfigError(f"the certificate of {where} is not trusted: check ca_file")


def bind_refused(where: str, result: Result) -> IdsyncError:
    """Return the error for a bind that ended with *result*."""
    name = named(result.code)
    if result.code in TLS_FIRST:
        return ConfigError(
            f"{where} wants TLS before a password ({name}): use ldaps:// in url, or "
            "start_tls = true"
        )
    if result.code in NO_ACCOUNT:
        found = re.search(rb"\bdata ([0-9a-f]+)", result.diagnostic)
        state = found and ACCOUNT.get(found[1])
        return Denied(
            f"{where} refuses the account in bind_dn ({name}): "
            + (state or "check bind_dn and password")
        )
    return Unavailable(f"{where} accepts no bind now ({name}); run again later")


def broken(where: str, problem: Exception, page: int, came: int) -> ConnectorError:
    """Return the error for a search that broke off in *page*, after *came* entries."""
    if not came and isinstance(problem, Lost):
        return Unavailable(f"{where}: {problem}; run again later")
    return Incomplete(f"{where}: {problem} in page {page}, after {came} entries; run again later")


def search_refused(
    where: str, code: int, base_setting: str | None, page: int, came: int
) -> IdsyncError:
    """Return the error for a search that ended with *code*, which is not success.

    *base_setting* is the setting that holds its base, or None for a group that was found.
    """
    name = named(code)
    first = page == 1 and came == 0
    if code in LIMITS:
        error: IdsyncError = Incomplete(
            f"{where} stopped after {came} entries ({name}): have the limit of the account raised"
        )
    elif not first:
        error = Incomplete(
            f"{where} ended the read in page {page}, after {came} entries ({name}); run again later"
        )
    elif code in BUSY:
        error = Unavailable(f"{where} is busy ({name}); run again later")
    elif code in NO_RIGHT:
        error = Denied(f"{where} refuses the read ({name}): check the rights of the account")
    elif code == NO_PAGING:
        error = ConfigError(f"{where} cannot page ({name}): idsync needs RFC 2696")
    elif code in (NO_SUCH_OBJECT, INVALID_NAME, REFERRAL) and base_setting:
        error = ConfigError(
            f"{base_setting} is not on {where} ({name}): correct it, or give the account the "
            "right to see it"
        )
    elif code == NO_SUCH_OBJECT:
        error = Incomplete(f"{where}: a group was removed while it was read; run again later")
    else:
        error = Incomplete(f"{where} does not answer the search ({name}): ask its operator")
    return error
