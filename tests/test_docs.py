"""The pages say what the program does: keys, options, fields, answers, links."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idsync.config import load
from idsync.errors import (
    ChangedError,
    ConfigError,
    ConnectorError,
    IdsyncError,
    IntegrityError,
    Refused,
)
from idsync.mapping.conditions import parse
from idsync.plan.orphans import CLASSES
from tests.docs_console import FENCE, answers, files, replayed
from tests.docs_tables import (
    DOCS,
    IN_PARTS,
    Table,
    faults,
    pages,
    renewed,
    target_keys,
    words_in,
)

HOME = DOCS.parent
PAGES = sorted([*HOME.glob("*.md"), *DOCS.rglob("*.md")])
KEYS = re.compile(r"<!-- keys: ([^>]+?) -->\n(.*?)<!-- end -->", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def keys(name: str, block: str) -> list[str]:
    """The first column of a table of keys in a page, in order."""
    bodies = dict(KEYS.findall(page(name)))
    return [key.strip("`") for key in words_in(bodies[block])]


# ── the reference tables ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_tables_of_a_page_are_what_the_code_says(name: str) -> None:
    assert faults(page(name), pages()[name]) == []


@pytest.mark.parametrize("name", IN_PARTS)
def test_every_key_of_a_target_stands_in_a_table_of_its_page(name: str) -> None:
    there = set(re.findall(r"(?m)^\|([^|]*)\|", page(f"targets/{name}.md")))
    named = {key for cell in there for key in re.findall(r"`([^`]+)`", cell)}
    asked = {row[0].strip("`") for row in target_keys()[name].rows}
    told_elsewhere = set(
        re.findall(r"`([^`]+)`", page(f"targets/{name}.md").partition("## Keys")[2])
    )
    assert asked <= named | told_elsewhere


ROW = "| `percent` | number | `2.0` |"
WHOLE_ROW = re.compile(rf"^{re.escape(ROW)}.*\n", re.M)
FAULTS: dict[str, Callable[[str], str]] = {
    "a key is missing": lambda text: WHOLE_ROW.sub("", text),
    "a key is extra": lambda text: text.replace(ROW, "| `share` | number | `2.0` | x |\n" + ROW),
    "a default is old": lambda text: text.replace(ROW, ROW.replace("2.0", "3.0")),
    "a key has no words": lambda text: WHOLE_ROW.sub(ROW + "  |\n", text),
    "a table is missing": lambda text: text.replace("<!-- table: brakes -->", ""),
    "a table is of nothing": lambda text: text.replace("table: rules -->", "table: rulez -->"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_the_check_of_tables_sees_when(what: str) -> None:
    sound = page("connectors-toml.md")
    faulty = FAULTS[what](sound)
    assert faulty != sound
    assert faults(faulty, pages()["connectors-toml.md"])


def test_a_renewed_table_keeps_the_words_and_asks_for_new_ones() -> None:
    table = Table(head=("key", "value"), rows=(("`a`", "text"), ("`b`", "number")), worded=True)
    rows = "| | |\n| --- | --- |\n| `a` | one, two \\| three |\n| `old` | gone |\n"
    text = f"<!-- table: t -->\n{rows}<!-- end -->"
    made = renewed(text, {"t": table})
    assert "| `a` | text | one, two \\| three |\n| `b` | number |  |\n<!-- end -->" in made
    assert faults(made, {"t": table}) == ["t: `b` has no words"]


def test_every_exit_code_that_an_error_has_is_listed() -> None:
    kinds = (IdsyncError, ConfigError, ChangedError, IntegrityError, ConnectorError, Refused)
    listed = [code for code, _ in pages()["commands.md"]["exit codes"].rows]
    assert {str(kind.exit_code) for kind in kinds} <= set(listed)
    assert listed == ["0", "1", "2", "3", "4", "5"]


def test_the_classes_of_orphans_are_those_of_the_code() -> None:
    assert keys("how-it-decides.md", "orphans") == list(CLASSES)


# ── examples ────────────────────────────────────────────────────────────────────────────


def toml_blocks(text: str) -> Iterator[str]:
    return (body for language, path, body in FENCE.findall(text) if language == "toml")


@pytest.mark.parametrize(
    "file", [HOME / "README.md", DOCS / "connectors-toml.md"], ids=lambda f: f.name
)
def test_the_configuration_of_a_page_loads(file: Path, tmp_path: Path) -> None:
    whole = [
        block for block in toml_blocks(file.read_text(encoding="utf-8")) if "[idsync]" in block
    ]
    assert len(whole) == 1
    (tmp_path / "connectors.toml").write_text(whole[0], encoding="utf-8")
    assert load(tmp_path / "connectors.toml").rules


def test_every_condition_shown_is_a_condition() -> None:
    blocks = [block for block in toml_blocks(page("connectors-toml.md")) if "[idsync]" not in block]
    shown = [line for block in blocks for line in block.splitlines()]
    assert len(shown) >= 4
    for line in shown:
        parse(tomllib.loads(line)["when"])


def test_every_value_of_a_condition_shown_is_accepted() -> None:
    text = page("connectors-toml.md")
    rows = re.findall(r"^\| `(.+?)` \|", text.split("| value | holds when the field |")[1], re.M)
    assert len(rows) == 5
    for row in rows:
        value = tomllib.loads(f"value = {row}")["value"]
        field = "percent" if "50" in row else "job_code"
        parse({field: value})


# ── the tutorial ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def followed() -> Iterator[tuple[str, Path]]:
    """The tutorial with the answers of now, and the folder of somebody who followed it."""
    # a short name: in a long one the tables would break paths
    with tempfile.TemporaryDirectory() as folder:
        yield replayed(page("tutorial.md"), Path(folder)), Path(folder)


def test_the_tutorial_shows_what_its_commands_answer(followed: tuple[str, Path]) -> None:
    shown = answers(page("tutorial.md"))
    assert len(shown) >= 10
    assert answers(followed[0]) == shown


def test_the_tutorial_ends_as_it_says(followed: tuple[str, Path]) -> None:
    from idsync.targets.local_system import LocalSystem

    system = LocalSystem(followed[1] / "var" / "cityhall.db")
    held = {
        record.key: (record.status, sorted(grant.ref for grant in record.grants))
        for record in system.records() if record.key
    }  # fmt: skip
    assert held == {
        "10417": ("active", ["FSK-ENTRE", "GYM", "LARM-FSK"]),
        "10422": ("suspended", []),
        "10431": ("suspended", ["FSK-ENTRE"]),
        "10440": ("active", ["FSK-ENTRE"]),
        "10452": ("active", ["FSK-ENTRE"]),
        "10460": ("active", ["FSK-ENTRE"]),
    }


def test_the_mistake_that_the_tutorial_suggests_is_told_with_its_line(tmp_path: Path) -> None:
    text = dict(files(page("tutorial.md")))["connectors.toml"]
    faulty = text.replace('delimiter = ";"', 'delimeter = ";"')
    line = next(n for n, one in enumerate(faulty.splitlines(), 1) if "delimeter" in one)
    (tmp_path / "connectors.toml").write_text(faulty, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf":{line}: .*did you mean delimiter\?"):
        load(tmp_path / "connectors.toml")


def test_another_answer_than_the_tutorial_shows_is_seen() -> None:
    text = page("tutorial.md")
    other = text.replace("10431   Förskola", "10440   Förskola")
    assert other != text
    assert answers(other) != answers(text)


# ── the JSON ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def documents() -> tuple[dict[str, Any], dict[str, Any]]:
    """A plan and a run of the tutorial's first day, as `--json` gives them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written: dict[str, str] = {}
        for path, body in files(page("tutorial.md")):
            written.setdefault(path, body)
        for path, body in written.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(body, encoding="utf-8")
        return _json(folder, "plan"), _json(folder, "sync")


def _json(folder: Path, command: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "idsync", command, "--json"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_keys_of_a_plan_are_those_of_the_page(
    documents: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    plan, _ = documents
    assert list(plan) == keys("commands.md", "plan")
    assert set(plan["targets"]["cityhall"]) == set(keys("commands.md", "target"))
    assert {key for change in plan["changes"] for key in change} == set(
        keys("commands.md", "change")
    )


def test_the_keys_of_a_run_are_those_of_the_page(
    documents: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    plan, run = documents
    assert set(run) == (set(plan) - {"changes"}) | set(keys("commands.md", "run"))
    added = set(run["targets"]["cityhall"]) - set(plan["targets"]["cityhall"])
    assert added == set(keys("commands.md", "run target"))


# ── all pages ───────────────────────────────────────────────────────────────────────────


def broken_links(file: Path) -> list[str]:
    """Links of *file* to other pages, and to headings, that lead nowhere."""
    text = FENCE.sub("", file.read_text(encoding="utf-8"))
    broken = []
    for link in LINK.findall(text):
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        there = (file.parent / path).resolve() if path else file
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)
    return broken


def anchors(file: Path) -> set[str]:
    """The names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text(encoding="utf-8")), re.M)
    return {
        "".join(
            sign for sign in heading.lower().replace(" ", "-")
            if sign in "-_" or unicodedata.category(sign)[0] in "LN"
        )
        for heading in headings
    }  # fmt: skip


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(HOME)))
def test_every_link_leads_somewhere_in(file: Path) -> None:
    assert broken_links(file) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text(
        "# One\n[x](b.md) [y](#two) [z](#one) [w](https://example.org/)\n", encoding="utf-8"
    )
    assert broken_links(file) == ["b.md", "#two"]


def test_every_page_is_reached_from_the_first_one() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(page("index.md"))}
    assert {file for file in PAGES if DOCS in file.parents} <= linked | {DOCS / "index.md"}


def test_the_readme_is_short() -> None:
    assert len((HOME / "README.md").read_text(encoding="utf-8").split()) < 600
