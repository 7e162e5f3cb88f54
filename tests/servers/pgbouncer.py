"""A real PgBouncer before a real PostgreSQL: a session of the server's for each transaction."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.postgres import OWNER, PASSWORDS, Database, plain_user
from tests.servers.slapd import free_port


def required() -> str:
    """Return the program; skip where it is not installed, in CI fail."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("pgbouncer not found: apt-get install pgbouncer")
    return program


@contextmanager
def pooled(database: Database, mode: str = "transaction") -> Iterator[str]:
    """Give the address of *database* behind a pooler; its password is not in it."""
    program, port = required(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # below /tmp: its user reads it
    users = folder / "users"
    users.write_text(f'"{OWNER}" "{PASSWORDS[OWNER]}"\n')
    told = folder / "pgbouncer.ini"
    told.write_text(
        f"[databases]\n{database.name} = host=127.0.0.1 port={database.server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {mode}\n"
    )
    user = plain_user() if os.getuid() == 0 else None  # it does not run as root
    if user is not None:
        for path in (folder, users, told):
            shutil.chown(path, user)
    setpriv = shutil.which("setpriv")
    bound = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    process = subprocess.Popen(
        [*bound, program, str(told)], user=user, cwd="/",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(port, process)
        yield f"postgresql://{OWNER}@127.0.0.1:{port}/{database.name}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "pgbouncer ended at its start"
            assert time.monotonic() < until, "pgbouncer did not answer within 20 s"
            time.sleep(0.05)
