"""One story of the canary city, told once for all tests: people come, one is marked, one leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from idsync.config import connect_target, load
from tests.privacy.people import LATE, LEAVER, OPEN, PROTECTED
from tests.privacy.site import SECRETS, Site
from tests.privacy.watch import Heard, Watch


@dataclass
class Story:
    """What every system was told before the mark and after it, what it holds, what was said."""

    site: Site
    before: dict[str, bytes] = field(default_factory=dict)
    after: dict[str, bytes] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    said: dict[str, Heard] = field(default_factory=dict)


@contextmanager
def told(folder: Path) -> Iterator[Story]:
    """The story; the systems still stand at its end."""
    site = Site(folder)
    with site.standing():
        story, watch = Story(site), Watch(site, folder.parent / "watched")
        _settled(site)
        for kind in site.kinds:
            story.before[kind] = site.told(kind)
        began = {kind: len(proxy.sent) for kind, proxy in site.proxies.items()}
        there = {path for path in site.of("order").iterdir() if path.is_file()}
        site.people = (OPEN, PROTECTED, LATE.marked(), replace(LEAVER, until="2026-11-01"))
        site.write_people()
        for name, words in {
            "plan": ("plan",),
            "plan --json": ("plan", "--json", "--save", "tonight.plan"),
            "sync --json": ("sync", "--json"),
        }.items():
            story.said[name] = watch(*words)
        site.work()
        _settled(site)
        for kind in site.kinds:
            story.after[kind] = site.told(kind)[began.get(kind, 0) :]
        new = [path for path in site.of("order").iterdir() if path.is_file() and path not in there]
        story.after["order"] = b"\n".join(path.read_bytes() for path in sorted(new))
        story.held = {kind: _shown(site, kind) for kind in site.kinds}
        yield story


def _settled(site: Site) -> None:
    for _ in range(2):  # what is answered later is answered between the two
        answer = site.run("sync")
        assert answer.code == 0, answer
        site.work()


def _shown(site: Site, kind: str) -> str:
    os.environ.update(SECRETS)
    target = connect_target(load(site.folder / "connectors.toml").targets[kind])
    try:
        return repr(list(target.read()))
    finally:
        target.close()
