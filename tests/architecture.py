"""Reads the house by its imports, and names everything that breaks its plan.

The plan is the tables below; `violations` holds a tree of files against them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROMISES = ("sources", "targets")
WORDS = ("errors", "model", "capabilities")
ADAPTERS_SEE = (*WORDS, "settings", "http")
EVERYTHING = (
    *WORDS, "settings", "files", "together", "http", "config", "mapping", "plan", "store", "apply",
    "package", "service", "cli", "testing", "webhook", "secevent", *PROMISES,
)  # fmt: skip

MAY_SEE: dict[str, tuple[str, ...]] = {
    "__init__": (),
    "__main__": ("cli",),
    "errors": (),
    "model": (),
    "capabilities": ("errors", "model"),
    "settings": WORDS,
    "files": ("errors",),  # a file that nobody else may have written, read once and whole
    "together": (),  # threads and waiting, for the rooms that do either
    "http": (*WORDS, "settings"),
    "rows": (*WORDS, "settings"),  # a cardholder in a described table: the same for sql and file
    "webhook": ("errors",),  # pure: who signed a message, and what it says
    "secevent": ("errors", "webhook"),  # pure: who signed a token, and what it says
    "sources": (*ADAPTERS_SEE, "files"),
    "targets": (*ADAPTERS_SEE, "rows"),
    "mapping": WORDS,
    "plan": (*WORDS, "mapping"),
    "config": (*WORDS, "settings", "mapping", "http", *PROMISES),  # of http, what an address is
    "store": (*WORDS, "settings", "together", "mapping", "plan"),
    "apply": (*WORDS, "together", "mapping", "plan", "store", *PROMISES),
    "package": (*WORDS, "mapping", "plan"),
    "testing": EVERYTHING,
    "service": EVERYTHING,
    "cli": EVERYTHING,
}
"""Who may import whom, beside the rooms of one's own. Of sources and targets everybody
sees the promise alone: a connector is known to its own files, and found by entry point."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "sqlalchemy": ("store", "targets.salto", "targets.sql"),
    "sqlite3": ("store", "targets.local", "targets.work"),  # they keep a file of their own
    "psycopg": ("store",),
    "requests": ("http",),
    "urllib3": ("http",),
    "ldap3": ("sources.ldap",),
    "pyasn1": ("sources.ldap",),
    "zeep": ("targets.onvif",),
    "uhppoted": ("targets.uhppote",),
    "fpdf": ("targets.work",),
    # http reads when a certificate ends, webhook checks what a sender of events signed
    "cryptography": ("store", "targets.work", "http", "webhook"),
    "joserfc": ("secevent", "http"),  # of http, what idsync signs in with
    "starlette": ("service",),
    "defusedxml": ("targets.arx", "targets.file"),
    "tenacity": ("apply",),  # one layer retries
    "apscheduler": ("service",),
    "prometheus_client": ("service",),
    "uvicorn": ("service",),
    "smtplib": ("service",),
    "click": ("cli",),
    "rich": ("cli",),
}
"""Packages that one room knows, so that they can be replaced there."""

PURE = ("mapping", "plan")
IMPURE = {
    "asyncio", "fileinput", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib",
    "random", "secrets", "shutil", "socket", "ssl", "subprocess", "tempfile", "threading", "time",
    "urllib",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}
FILE_READS = ("read_", "scan_")  # of polars and pathlib
FILE_WRITES = ("write_", "sink_")

FORBIDDEN_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
FILE_LINES = 400
FUNCTION_LINES = 60


@dataclass(frozen=True, slots=True)
class Import:
    """One module that a file imports. `late`: only where it is used, or only for types."""

    line: int
    module: str
    late: bool


@dataclass(frozen=True)
class Module:
    """One file of the house. `name` is dotted and without the leading `idsync.`."""

    name: str
    path: str
    text: str
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def room(self) -> str:
        """The first part of the name: sources, plan …"""
        return self.name.partition(".")[0]

    @property
    def family(self) -> str:
        """The file and its private siblings: sources.csv, sources.csv_dates …"""
        return family_of(self.name)


def family_of(name: str) -> str:
    """Return the name without what makes a sibling private: sources.csv_dates → sources.csv."""
    room, _, rest = name.partition(".")
    stem = rest.partition(".")[0].partition("_")[0]
    if room in PROMISES and stem:
        return f"{room}.{stem}"
    return room if room.startswith("__") else room.partition("_")[0]


# ── reading ─────────────────────────────────────────────────────────────────────────────


def read_house(root: Path) -> dict[str, Module]:
    """Return every module of the package that the folder *root* is, by name."""
    names = {_name(path, root): path for path in sorted(root.rglob("*.py"))}
    house = {}
    for name, path in names.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        package = path.parent.relative_to(root.parent).as_posix().replace("/", ".")
        imports = tuple(_imports(tree, package, root.name, set(names)))
        shown = path.relative_to(root.parent).as_posix()
        house[name] = Module(name, shown, text, tree, imports)
    return house


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return ".".join(parts)


def _imports(tree: ast.Module, package: str, top: str, names: set[str]) -> Iterator[Import]:
    for node, late in _walk(tree, late=False):
        for full in _imported(node, package):
            whole = full.removeprefix(f"{top}.")
            if full == top:
                yield Import(node.lineno, f"{top}.__init__", late)
            elif whole == full:
                yield Import(node.lineno, full, late)
            else:  # the longest part that is a module; the rest is a name in it
                while whole not in names and "." in whole:
                    whole = whole.rpartition(".")[0]
                known = whole in names or whole in MAY_SEE
                yield Import(node.lineno, f"{top}.{whole if known else '__init__'}", late)


def _walk(node: ast.AST, *, late: bool) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    for child in ast.iter_child_nodes(node):
        inner = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        inner = inner or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        if isinstance(child, ast.stmt | ast.expr):
            yield child, inner
        yield from _walk(child, late=inner)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield what *node* imports, each as far as its text goes."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = ""
        if node.level:
            start = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
        origin = ".".join(part for part in (start, node.module) if part)
        yield from (f"{origin}.{alias.name}" for alias in node.names)
    elif (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("import_module", "__import__"))
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        yield str(node.args[0].value)


# ── judging ─────────────────────────────────────────────────────────────────────────────


def violations(root: Path) -> list[str]:
    """Return a sentence with file and line for everything in *root* that breaks the plan."""
    house = read_house(root)
    return [
        f"{module.path}:{line}: {sentence}"
        for module in house.values()
        for check in CHECKS
        for line, sentence in check(module, house)
    ]


Found = Iterator[tuple[int, str]]


def arrows(module: Module, house: dict[str, Module]) -> Found:
    """Only arrows that the table shows, and nobody knows a connector by name."""
    room = module.family if module.room not in PROMISES else module.room
    if room not in MAY_SEE:
        yield 1, f"{room} has no place in the table of who may import whom"
        return
    for one in module.imports:
        if not one.module.startswith("idsync."):
            continue
        seen = one.module.removeprefix("idsync.")
        seen_family = family_of(seen)
        if seen == "__init__" or seen_family == module.family:
            continue
        if "." in seen_family:
            yield one.line, f"imports the connector {seen} by name"
        elif seen_family != room and seen_family not in MAY_SEE[room]:
            yield one.line, f"{room} may not import {seen_family}"


def packages(module: Module, house: dict[str, Module]) -> Found:
    """Packages that one room knows are imported nowhere else."""
    for one in module.imports:
        package = one.module.partition(".")[0]
        if package in ONLY_IN and module.family not in ONLY_IN[package]:
            yield one.line, f"imports {package}, which only {' and '.join(ONLY_IN[package])} may"
        if one.module.startswith("importlib.metadata") and module.room not in ("config", "cli"):
            yield one.line, "looks at installed packages, which only config and cli may"


def purity(module: Module, house: dict[str, Module]) -> Found:
    """No input, no output and no clock where time is an argument."""
    if module.room not in PURE:
        return
    for one in module.imports:
        if one.module.partition(".")[0] in IMPURE:
            yield one.line, f"is pure and imports {one.module}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _reaches_out(node):
            yield node.lineno, f"is pure and calls {ast.unparse(node.func)[-60:]}"


def _reaches_out(call: ast.Call) -> bool:
    called = ast.unparse(call.func)
    owner, _, method = called.rpartition(".")
    if method in CLOCKS:
        return owner.rpartition(".")[2] in ("datetime", "date", "dt")
    if method.startswith(FILE_WRITES):  # without a file to write to they return the text
        return bool(call.args) or any(one.arg in ("file", "path") for one in call.keywords)
    return called in ("open", "print", "input") or method.startswith(FILE_READS)


def connectors(module: Module, house: dict[str, Module]) -> Found:
    """Connectors do not retry, sleep or log."""
    if module.room not in PROMISES or module.family == "targets.local":
        return
    for one in module.imports:
        if one.module.partition(".")[0] == "logging":
            yield one.line, "is a connector and logs"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "sleep":
            yield node.lineno, "is a connector and sleeps"


def privacy(module: Module, house: dict[str, Module]) -> Found:
    """A name with a leading underscore stays in its file."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").partition(".")[0] == "idsync"
        ):
            for alias in node.names:
                if alias.name.startswith("_") and not alias.name.startswith("__"):
                    yield node.lineno, f"imports {alias.name}, which is private to its file"


def circles(module: Module, house: dict[str, Module]) -> Found:
    """No file is, by way of others, its own condition."""
    lines = {one.module.removeprefix("idsync."): one.line for one in module.imports if not one.late}
    for first, line in lines.items():
        seen, waiting = set(), [first]
        while waiting:
            name = waiting.pop()
            if name in seen or name not in house:
                continue
            seen.add(name)
            waiting += [
                one.module.removeprefix("idsync.") for one in house[name].imports if not one.late
            ]
        if module.name in seen:
            yield line, f"imports {first}, which imports it in turn"


def sizes(module: Module, house: dict[str, Module]) -> Found:
    """Files hold one idea, and functions can be seen whole."""
    lines = module.text.count("\n")
    if lines > FILE_LINES:
        yield lines, f"has {lines} lines, {FILE_LINES} is the limit: two ideas?"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines, {FUNCTION_LINES} is the limit"


def names(module: Module, house: dict[str, Module]) -> Found:
    """A file is named after its idea."""
    for part in module.name.split("."):
        if FORBIDDEN_NAMES & {part, *part.split("_")}:
            yield 1, f"{part} says nothing: name the file after its idea"


CHECKS: tuple[Callable[[Module, dict[str, Module]], Found], ...] = (
    arrows, packages, purity, connectors, privacy, circles, sizes, names,
)  # fmt: skip
