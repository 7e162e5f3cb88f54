"""A real OpenLDAP server of a test's own: on loopback, on free ports, as any user.

    with Slapd(folder, certificates, ldif) as server:
        ...  # server.url, server.ldaps_url; READER with READER_PASSWORD may read

It holds the suffix SUFFIX with ou=people and ou=groups, an account that reads everything
and one whose reads end after LIMIT entries.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SUFFIX = "dc=staden,dc=test"
READER, READER_PASSWORD = f"cn=reader,{SUFFIX}", "lösen-för-läsaren"
LIMITED, LIMITED_PASSWORD = f"cn=limited,{SUFFIX}", "lösen-för-den-begränsade"
LIMIT = 20

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
# The names and syntaxes that Active Directory gives them.
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' SINGLE-VALUE
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' SINGLE-VALUE
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )
objectclass ( 1.3.6.1.4.1.55555.1 NAME 'testAccount' AUXILIARY
  MAY ( objectGUID $ userAccountControl ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
threads 4
TLSCACertificateFile {certificates}/ca.pem
TLSCertificateFile {certificates}/{certificate}.pem
TLSCertificateKeyFile {certificates}/{certificate}.key
database mdb
suffix "{suffix}"
directory {folder}/data
maxsize 1073741824
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by dn.exact="{limited}" read by * none
limits dn.exact="{reader}" size=unlimited size.prtotal=unlimited time=unlimited
limits dn.exact="{limited}" size={limit} size.prtotal={limit}
"""

BASE = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Staden
dc: staden

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups
"""


def required() -> None:
    """Skip the test where slapd is not installed; in CI fail, so that nobody misses it."""
    missing = [name for name in ("slapd", "slapadd", "openssl") if not _program(name)]
    if not missing:
        return
    told = f"{', '.join(missing)} not found: apt-get install slapd openssl"
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(told)
    pytest.skip(told)


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _run(*arguments: str | Path) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Certificates:
    """A certificate authority of its own and what it signed: good, wronghost, expired.

    `ca` is the file a client needs; `other_ca` is an authority that signed none of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.other_ca = folder / "other.pem"
        self._authority("ca")
        self._authority("other")
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        self._leaf("good", "DNS:localhost,IP:127.0.0.1", "20250101000000Z", "20450101000000Z")
        self._leaf("wronghost", "DNS:annan.test", "20250101000000Z", "20450101000000Z")
        self._leaf("expired", "IP:127.0.0.1", "20200101000000Z", "20200201000000Z")

    def _key(self, name: str) -> tuple[str, ...]:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        return (*curve, "-keyout", str(self.folder / f"{name}.key"), "-subj", f"/CN={name}")

    def _authority(self, name: str) -> None:
        _run(
            "openssl", "req", "-x509", *self._key(name), "-days", "3650",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-out", self.folder / f"{name}.pem",
        )  # fmt: skip

    def _leaf(self, name: str, names: str, begins: str, ends: str) -> None:
        folder = self.folder
        request, settings = folder / f"{name}.csr", folder / f"{name}.cnf"
        _run("openssl", "req", "-new", *self._key(name), "-out", request)
        settings.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\nserial={folder}/serial\n"
            f"new_certs_dir={folder}\ndefault_md=sha256\npolicy=names\nx509_extensions=leaf\n"
            f"[names]\ncommonName=supplied\n[leaf]\nsubjectAltName={names}\n"
            "extendedKeyUsage=serverAuth\n"
        )
        _run(
            "openssl", "ca", "-batch", "-notext", "-config", settings, "-cert", self.ca,
            "-keyfile", folder / "ca.key", "-startdate", begins, "-enddate", ends,
            "-in", request, "-out", folder / f"{name}.pem",
        )  # fmt: skip


def ldif(name: str, **attributes: str | bytes | Iterable[str]) -> str:
    """Return an entry as LDIF, in base 64 so that any value survives; cn_lang_sv is cn;lang-sv."""
    lines = [_line("dn", name)]
    for attribute, value in attributes.items():
        values = [value] if isinstance(value, str | bytes) else value
        written = attribute.replace("_", ";", 1).replace("_", "-")
        lines += [_line(written, one) for one in values]
    return "\n".join(lines) + "\n\n"


def _line(attribute: str, value: str | bytes) -> str:
    octets = value.encode() if isinstance(value, str) else value
    return f"{attribute}:: {base64.b64encode(octets).decode()}"


class Slapd:
    """One server. It is empty but for the base until *content*, LDIF, is given."""

    def __init__(
        self, folder: Path, certificates: Certificates, content: str = "", certificate: str = "good"
    ) -> None:
        self.folder = folder
        self.port, self.ldaps_port = free_port(), free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.ldaps_url = f"ldaps://127.0.0.1:{self.ldaps_port}"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True)
        self.settings = folder / "slapd.conf"
        self.settings.write_text(
            CONFIGURATION.format(
                folder=folder,
                certificates=certificates.folder,
                certificate=certificate,
                suffix=SUFFIX,
                reader=READER,
                limited=LIMITED,
                limit=LIMIT,
            )
        )
        accounts = ldif_account(READER, READER_PASSWORD) + ldif_account(LIMITED, LIMITED_PASSWORD)
        self.load(f"{BASE}\n{accounts}{content}")

    def load(self, content: str) -> None:
        """Add the entries of *content*, LDIF, while the server stands still."""
        assert self.process is None, "slapadd needs a server that stands still"
        source = self.folder / "content.ldif"
        source.write_text(content, encoding="utf-8")
        _run(_program("slapadd"), "-q", "-f", self.settings, "-b", SUFFIX, "-l", source)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        # In the foreground (-d), so that the process is ours to end, and ended by the kernel if
        # the tests themselves are killed. Never "slapd -V": it prints and then serves everybody.
        bound = [_program("setpriv"), "--pdeathsig", "KILL"] if _program("setpriv") else []
        listen = f"{self.url} {self.ldaps_url}"
        self.process = subprocess.Popen(
            [*bound, _program("slapd"), "-d", "0", "-f", self.settings, "-h", listen],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        for port in (self.port, self.ldaps_port):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert self.process.poll() is None, "slapd ended at its start"
                    assert time.monotonic() < until, "slapd did not answer within 10 s"
                    time.sleep(0.02)

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    def restart(self) -> None:
        """Stop the server and start it on the same ports with the same data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def ldif_account(name: str, password: str) -> str:
    """Return an account that can bind."""
    return ldif(
        name,
        objectClass=["organizationalRole", "simpleSecurityObject"],
        cn=name.partition(",")[0].removeprefix("cn="),
        userPassword=password,
    )
