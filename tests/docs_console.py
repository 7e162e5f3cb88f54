"""Does what a page tells its reader to do, and shows what came of it.

A fenced block whose first line is ```` ```LANGUAGE PATH ```` is a file to write. A
```` ```console ```` block has commands after `$ `, each with its output below it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
APPROVE = re.compile(r"idsync approve ([0-9a-f]{12})")
SHOWN_FOLDER = "/home/anna/doors"
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "DIGEST"),
    (re.compile(r"Person [0-9a-f]{8}"), "Person ID"),
    (re.compile(r"[ ─]+"), " "),
)
"""What differs from one run to the next, and the widths of columns that hold it."""


def files(text: str) -> Iterator[tuple[str, str]]:
    """Yield path and content of every file that the page shows, in order."""
    for language, path, body in FENCE.findall(text):
        if path and language != "console":
            yield path, body


def replayed(text: str, folder: Path) -> str:
    """Return the page *text* with the output that its commands give when done in *folder*."""
    digest = ""

    def one(block: re.Match[str]) -> str:
        nonlocal digest
        language, path, body = block.groups()
        if path:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
        if language != "console":
            return block[0]
        shown = []
        for line in body.splitlines():
            if line.startswith("$ "):
                command = APPROVE.sub(f"idsync approve {digest}", line.removeprefix("$ "))
                output = _run(command, folder)
                digest = next(iter(APPROVE.findall(output)), digest)
                shown.append(f"$ {command}\n{output}")
        return "```console\n" + "\n".join(shown) + "```"

    return FENCE.sub(one, text)


def settled(text: str) -> str:
    """Return *text* without what differs from one run to the next."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


def renew_tutorial(page: Path) -> None:
    """Write what the commands of *page* really answer into it."""
    with tempfile.TemporaryDirectory() as folder:
        text = replayed(page.read_text(encoding="utf-8"), Path(folder))
    page.write_text(text, encoding="utf-8")


def _run(command: str, folder: Path) -> str:
    name, *arguments = _words(command)
    if name != "idsync":
        raise ValueError("a page may only run idsync")
    done = subprocess.run(
        [sys.executable, "-m", "idsync", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        timeout=60, check=False,
    )  # fmt: skip
    output = done.stdout.replace(str(folder), SHOWN_FOLDER)
    lines = [line.rstrip() for line in output.splitlines()]
    told = "\n".join(lines).strip("\n") + "\n"
    return told + (f"(exit code {done.returncode})\n" if done.returncode else "")


def _words(command: str) -> list[str]:
    import shlex

    return shlex.split(command)
