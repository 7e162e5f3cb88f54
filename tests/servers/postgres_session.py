"""A real PostgreSQL server of a test's own: on loopback, on a free port, gone at the end.

    server = Postgres(certificates)
    server.url("somebody")      # the database DATABASE, without a password
    server.run("CREATE TABLE ...")
    server.close()

USER may everything in the database and has PASSWORD. TLS is on; the certificate is not for
OTHER_ADDRESS, where it answers too.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.slapd import Certificates, free_port

OTHER_ADDRESS = "127.0.0.2"
USER, PASSWORD, DATABASE = "idsync", "lösen för idsync", "passage"


def _program(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return (
        shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, versions)]))
        or ""
    )


def required() -> None:
    """Skip the test where PostgreSQL is not installed."""
    if not (_program("initdb") and _program("postgres") and shutil.which("openssl")):
        pytest.skip("initdb, postgres or openssl not found: apt-get install postgresql openssl")


class Postgres:
    """One server, waiting for connections when it is made."""

    def __init__(self, certificates: Certificates) -> None:
        self._user = "postgres" if os.geteuid() == 0 else None  # it will not run as root
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._data = self.folder / "data"
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._own(self.folder, password)
        self._run(
            _program("initdb"), "-D", self._data, "-U", USER, "--pwfile", password, "-E", "UTF8",
            "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync", "--no-instructions",
        )  # fmt: skip
        for name in ("good.pem", "good.key"):
            shutil.copy(certificates.folder / name, self._data / name)
            (self._data / name).chmod(0o600)
            self._own(self._data / name)
        self.port = free_port()
        settings = {
            "port": self.port, "listen_addresses": f"127.0.0.1,{OTHER_ADDRESS}",
            "unix_socket_directories": "",
            "fsync": "off", "ssl": "on", "ssl_cert_file": "good.pem", "ssl_key_file": "good.key",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [
                _program("postgres"), "-D", str(self._data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            user=self._user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        self._await()
        self.run(f"CREATE DATABASE {DATABASE}", database="postgres")

    def _own(self, *paths: Path) -> None:
        if self._user:
            account = pwd.getpwnam(self._user)
            for path in paths:
                os.chown(path, account.pw_uid, account.pw_gid)

    def _run(self, *arguments: str | Path) -> None:
        done = subprocess.run(
            arguments, user=self._user, capture_output=True, text=True, timeout=60, check=False,
            cwd="/",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _await(self) -> None:
        for _ in range(200):
            try:
                self.run("SELECT 1", database="postgres")
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the server ended"
                subprocess.run(["sleep", "0.05"], check=True, timeout=5)
            else:
                return
        raise AssertionError("the server does not answer")

    def url(self, user: str = USER, host: str = "127.0.0.1", database: str = DATABASE) -> str:
        """Return the address that a target is given."""
        return f"postgresql://{user}@{host}:{self.port}/{database}"

    def run(self, statement: str, *values: Any, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run one statement as USER; "?" stands for each value."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database,
            autocommit=True,
        ) as connection:  # fmt: skip
            done = connection.execute(statement.replace("?", "%s"), values or None)
            return list(done.fetchall()) if done.description else []

    def close(self) -> None:
        """End the server, and everything it kept."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)
