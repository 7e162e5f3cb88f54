"""A real PostgreSQL server of the tests' own: on loopback, on a free port, as a plain user.

    with Postgres(certificates) as server:
        database = server.new_database()
        database.url()              # OWNER owns it; no password stands in the address
        database.run("CREATE TABLE ...")

TLS is on; the certificate is not for OTHER_ADDRESS, where the server answers too. Texts sort
as Swedes sort them, as in a city's own server, and not by their bytes. The fixtures that
give one server to a whole run are in tests/servers/postgres_fixtures.py.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg
import pytest

from tests.servers.slapd import Certificates, free_port

OTHER_ADDRESS = "127.0.0.2"
ROOT, OWNER, READER = "root", "idsync", "reader"
PASSWORDS = {
    ROOT: "superhemligt", OWNER: "lösen för idsync", READER: "lösen för läsaren",
}  # fmt: skip
"""ROOT may everything; OWNER owns each new database; READER may log in, and no more."""


def programs() -> Path | None:
    """Return the folder of the newest server's programs, None where there is none."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    versions = sorted(
        found, key=lambda each: int(each.parts[-3]) if each.parts[-3].isdigit() else 0
    )
    if versions:
        return versions[-1].parent
    named = shutil.which("postgres")
    folder = Path(named).resolve().parent if named else None
    return folder if folder and (folder / "initdb").exists() else None


def plain_user() -> str | None:
    """Return the user to run it as: oneself, or as root the package's; None where neither is."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return None


def installed() -> bool:
    """Tell whether a server can be started on this machine."""
    return programs() is not None and plain_user() is not None and bool(shutil.which("openssl"))


def required() -> None:
    """Skip the test where PostgreSQL is not installed; in CI fail, so that nobody misses it."""
    if installed():
        return
    told = "postgres, its user or openssl not found: apt-get install postgresql openssl"
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(told)
    pytest.skip(told)


class Postgres:
    """One server, with TLS by the certificate `good`. It can be stopped and started again."""

    def __init__(self, certificates: Certificates) -> None:
        folder, user = programs(), plain_user()
        assert folder is not None, "look at required() first"
        assert user is not None, "look at required() first"
        self.certificates = certificates
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="postgres-"))  # below /tmp: the user reads it
        self._programs = folder
        self._user = user if os.getuid() == 0 else None  # it does not run as root
        self._data = self.home / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._owned(self.home)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        secret = self.home / "password"
        secret.write_text(PASSWORDS[ROOT])
        self._owned(secret)
        initdb = self._programs / "initdb"
        swedish = ("--locale-provider=icu", "--icu-locale=sv-SE")  # PostgreSQL 15 and newer
        self._do(
            initdb, "-D", self._data, "-U", ROOT, "-E", "UTF8", "--locale=C.UTF-8",
            *(swedish if "--icu-locale" in self._do(initdb, "--help") else ()),
            "--auth=scram-sha-256", "--pwfile", secret, "--no-sync", "--no-instructions",
        )  # fmt: skip
        for name in ("good.pem", "good.key"):
            copied = self._data / name
            shutil.copy(self.certificates.folder / name, copied)
            copied.chmod(0o600)
            self._owned(copied)

    def _owned(self, path: Path) -> None:
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _do(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            arguments, user=self._user, cwd="/", env={"LC_ALL": "C"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    # ── its life ────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the server, wait until it answers, and make the roles if they are not there."""
        # In the foreground, so that the process is ours to end, and ended by the kernel if the
        # tests themselves are killed.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        settings = {
            "listen_addresses": f"127.0.0.1,{OTHER_ADDRESS}", "port": self.port,
            "unix_socket_directories": "", "max_connections": 60, "fsync": "off",
            "ssl": "on", "ssl_cert_file": "good.pem", "ssl_key_file": "good.key",
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [*bound, self._programs / "postgres", "-D", self._data, *options],
            user=self._user, cwd="/", env={"LC_ALL": "C"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 30
        while True:
            try:
                self._make_roles()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, "postgres ended at its start"
                assert time.monotonic() < until, "postgres did not answer within 30 s"
                time.sleep(0.05)

    def _make_roles(self) -> None:
        with self.connect("postgres") as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for name in PASSWORDS.keys() - known:
                connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORDS[name]}'")

    def stop(self) -> None:
        """End the server at once, which still lets it give its shared memory back."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=20)
            self._process = None

    def close(self) -> None:
        """End the server, and everything it kept."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    # ── its use ─────────────────────────────────────────────────────────────────────────

    def connect(self, database: str, user: str = ROOT) -> psycopg.Connection:
        """Return a connection on which each statement is a transaction."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=PASSWORDS[user],
            dbname=database, autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def url(self, database: str, user: str = OWNER, host: str = "127.0.0.1") -> str:
        """Return the address of *database*, without the password."""
        return f"postgresql://{user}@{host}:{self.port}/{database}"

    def new_database(self, more: str = "") -> Database:
        """Make an empty database of OWNER; *more* is said of it in SQL."""
        self._count += 1
        name = f"database{self._count}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {OWNER} {more}".encode())
        return Database(self, name)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Database:
    """One database of a server's."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server = server
        self.name = name

    def url(self, user: str = OWNER, host: str = "127.0.0.1") -> str:
        """Return its address, without the password."""
        return self.server.url(self.name, user, host)

    def verified_url(self) -> str:
        """Return its address, with the authority that the server is known by."""
        authority = quote(str(self.server.certificates.ca))
        return f"{self.url()}?sslmode=verify-full&sslrootcert={authority}"

    def connect(self, user: str = ROOT) -> psycopg.Connection:
        """Return a connection on which each statement is a transaction."""
        return self.server.connect(self.name, user)

    def run(self, statement: str, *values: Any, user: str = OWNER) -> list[tuple[Any, ...]]:
        """Run one statement; "?" stands for each value."""
        with self.connect(user) as connection:
            done = connection.execute(statement.replace("?", "%s").encode(), values or None)
            return list(done.fetchall()) if done.description else []

    def drop(self) -> None:
        """Take it away, whoever is connected to it."""
        with self.server.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {self.name} WITH (FORCE)".encode())
