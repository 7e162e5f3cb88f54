"""A real PostgreSQL server of the tests' own: on loopback, on a free port, as a plain user.

    if installed(): ...             # tests that need it are not collected without it
    with Postgres(certificate) as server:
        server.url("owner"), server.new_database() ...

PostgreSQL does not run as root: then it runs as the user that its package made.
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
from typing import Self

import psycopg

from tests.servers.slapd import free_port

OWNER, READER = "idsync", "reader"
PASSWORDS = {OWNER: "lösen-för-ägaren", READER: "lösen-för-läsaren"}


def programs() -> Path | None:
    """Return the folder of the newest server's programs, None where there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return versions[-1].parent if versions else None


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
    return programs() is not None and plain_user() is not None


class Postgres:
    """One server with TLS by *certificate* and *key*, and the accounts OWNER and READER."""

    def __init__(self, certificate: Path, key: Path) -> None:
        folder, user = programs(), plain_user()
        assert folder is not None, "look at installed() first"
        assert user is not None, "look at installed() first"
        self._programs, self._user = folder, user
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="postgres-"))  # below /tmp: the user reads it
        self._data = self.home / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._owned(self.home)
        secret = self.home / "password"
        secret.write_text("superhemligt")
        self._owned(secret)
        self._do(
            "initdb", "-D", self._data, "-U", "root", "-E", "UTF8", "--locale=C", "-A",
            "scram-sha-256", "--pwfile", secret, "-N",
        )  # fmt: skip
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            copied = self._data / name
            shutil.copy(source, copied)
            copied.chmod(0o600)
            self._owned(copied)

    def _owned(self, path: Path) -> None:
        if os.getuid() == 0:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _do(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            user=self._user if os.getuid() == 0 else None, cwd=self.home, env={"LC_ALL": "C"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        # In the foreground, so that the process is ours to end, and ended by the kernel if the
        # tests themselves are killed.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        settings = {
            "listen_addresses": "127.0.0.1,127.0.0.2", "port": self.port, "ssl": "on",
            "unix_socket_directories": self.home, "max_connections": 20, "fsync": "off",
        }  # fmt: skip
        options = [part for n, v in settings.items() for part in ("-c", f"{n}={v}")]
        self._process = subprocess.Popen(
            [*bound, self._programs / "postgres", "-D", self._data, *options],
            user=self._user if os.getuid() == 0 else None, cwd=self.home, env={"LC_ALL": "C"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 30
        while True:
            try:
                with self.root() as connection:
                    for name, password in PASSWORDS.items():
                        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, "postgres ended at its start"
                assert time.monotonic() < until, "postgres did not answer within 30 s"
                time.sleep(0.05)

    def root(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection of the server's own account."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="root", password="superhemligt",
            dbname=database, autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def new_database(self) -> str:
        """Make an empty database of OWNER and return its name."""
        self._count += 1
        name = f"staging{self._count}"
        with self.root() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        return name

    def url(self, database: str, user: str = OWNER, host: str = "127.0.0.1") -> str:
        """Return the address of *database*, without the password."""
        return f"postgresql://{user}@{host}:{self.port}/{database}"

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
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
