"""Does what a page tells its reader to do, and shows what came of it.

A fenced block whose first line is ```` ```LANGUAGE PATH ```` is a file to write. A
```` ```console ```` block has commands after `$ `, each with its output below it.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from idsync.cli import main

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


def answers(text: str) -> list[list[str]]:
    """Return what each console block says, as words in no order.

    Where a line of a table is folded depends on the length of the folder's name.
    """
    blocks = [body for language, _, body in FENCE.findall(text) if language == "console"]
    return [sorted(settled(body).split()) for body in blocks]


def renew_tutorial(page: Path) -> None:
    """Write what the commands of *page* really answer into it, if that is something new."""
    shown = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        text = replayed(shown, Path(folder))
    if answers(text) != answers(shown):
        page.write_text(text, encoding="utf-8")


def _run(command: str, folder: Path) -> str:
    """Return what *command* prints in *folder*, run in this process: starting one takes long."""
    name, *arguments = shlex.split(command)
    if name != "idsync":
        raise ValueError("a page may only run idsync")
    printed = io.StringIO()
    before = sys.argv
    sys.argv = [name, *arguments]
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    output = printed.getvalue().replace(str(folder.resolve()), SHOWN_FOLDER)
    told = "\n".join(line.rstrip() for line in output.splitlines()).strip("\n") + "\n"
    return told + (f"(exit code {code})\n" if code else "")
