"""Gives the audit what only the configuration knows, and holds it against what was signed."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from idsync.config import Config
from idsync.errors import ConfigError
from idsync.settings import Secret
from idsync.store import State
from idsync.store.audit_checkpoints import Checkpoints, Witness, read_checkpoints
from idsync.store.audit_records import Record
from idsync.store.audit_signing import (
    PublicKey,
    SigningKey,
    public_half,
    read_public_keys,
    read_signing_key,
    signing_key_in,
)
from idsync.store.audit_verifying import Verdict, verify

CONFIGURED = "configuration"
"""Under this name the state remembers the digest of the configuration it last worked with."""


def attend(
    config: Config, state: State, clock: Callable[[], datetime], by: str = "", *, strict: bool
) -> None:
    """Let *state* audit with the controllers of *config*, and sign what it appends.

    A configuration that is new to the state, or was changed, is told with its digest. Where
    the key cannot be read, a *strict* caller ends here; another goes on, and what it appends
    is signed later: nobody's access stays open for the want of a signature.

    Raises:
        ConfigError: the key cannot be read or made.
    """
    state.audit.controllers = {name: one.controller for name, one in config.targets.items()}
    try:
        signed = Checkpoints(checkpoints_of(config), signing_key(config), clock)
        state.audit.witnessed_by(signed)
    except ConfigError as error:
        if strict:
            raise
        state.audit.unwitnessed = str(error)
    before = state.remembered(CONFIGURED)
    if before == config.digest:
        return
    with state.engine.begin() as connection:
        state.remember(connection, CONFIGURED, config.digest)
        told = {"digest": config.digest, "before": before, "by": by or this_user()}
        state.audit.append(connection, [Record(kind="configured", facts=told)], clock())


def this_user() -> str:
    """Return who runs this program."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def checkpoints_of(config: Config) -> Path:
    """Return where the checkpoints of this state stand."""
    if config.idsync.checkpoints is not None:
        return config.idsync.checkpoints
    if config.idsync.state.startswith("sqlite:///"):
        file = Path(config.idsync.state.removeprefix("sqlite:///"))
        return file.with_name(f"{file.name}.checkpoints")
    return config.folder / "var" / "idsync.checkpoints"


def _key_file(config: Config) -> Path | None:
    """Where the key stands, if it stands in a file that idsync may make."""
    named = config.idsync.audit_key
    if named is None:
        return config.folder / "var" / "audit.key"
    return config.folder / named.name if named.kind == "file" else None


def signing_key(config: Config) -> SigningKey:
    """Return the key that signs, made where it may be.

    Raises:
        ConfigError: it cannot be read or made.
    """
    file = _key_file(config)
    if file is not None:
        return signing_key_in(file)
    secret = config.idsync.audit_key
    assert isinstance(secret, Secret)  # noqa: S101 - no file was named
    return read_signing_key(secret.reveal(), f"the {secret.kind} of [idsync] audit_key")


def public_keys(config: Config, files: Sequence[Path] = ()) -> list[PublicKey]:
    """Return the keys that checkpoints are checked with: those in *files*, or this machine's."""
    if files:
        return read_public_keys(files)
    file = _key_file(config)
    if file is None:
        return [signing_key(config).public]
    if file.exists():
        return [signing_key_in(file).public]
    return read_public_keys([public_half(file)]) if public_half(file).exists() else []


def verify_audit(
    config: Config,
    state: State,
    *,
    checkpoints: Path | None = None,
    keys: Sequence[Path] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verdict:
    """Return what is wrong with the audit of *state*.

    Raises:
        ConfigError: the named checkpoints or keys cannot be read.
    """
    known = public_keys(config, keys)
    file = checkpoints or checkpoints_of(config)
    if checkpoints is None and not file.exists():
        witness = Witness(lines=[], problems=[])
    else:  # read first: what is appended meanwhile is no fault
        witness = read_checkpoints(file, known)
    return verify(state.engine, witness, known, progress)


def in_controller(config: Config, controller: str | None) -> Iterable[str]:
    """Return the targets that *controller* answers for; of None all.

    Raises:
        ConfigError: there is no such controller.
    """
    named = {one.controller for one in config.targets.values()}
    if controller is not None and controller not in named:
        raise ConfigError(f"no target has this controller: one of {', '.join(sorted(named))}")
    return [name for name, one in config.targets.items() if controller in (None, one.controller)]
