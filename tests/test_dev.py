"""The script `dev` on machines that lack something. What it does when all is well, it does now."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("bash", "env", "cat", "dirname", "readlink", "cksum", "rm", "id", "sh")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A copy of the script in a folder with a space, and a PATH with next to nothing on it."""
    home = tmp_path / "en stad å"
    home.mkdir()
    for name in ("dev", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, home)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in NEEDED:
        (programs / name).symlink_to(shutil.which(name) or name)
    return home


def program(home: Path, name: str, text: str) -> None:
    """Put a program of our own on the bare PATH."""
    path = home.parent / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def dev(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script from another folder."""
    return subprocess.run(
        [home / "dev", *arguments],
        env={"PATH": str(home.parent / "bin"), "LC_ALL": "C.UTF-8", **environment},
        cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_needs_nothing(bare: Path) -> None:
    done = dev(bare)
    assert done.returncode == 0
    for command in ("demo", "test [--long]", "bench PART", "lint", "help"):
        assert f"./dev {command}" in done.stdout
    assert dev(bare, "help").stdout == done.stdout


def test_an_unknown_command_is_an_error(bare: Path) -> None:
    done = dev(bare, "tset")
    assert done.returncode == 2
    assert "no command of this name" in done.stderr
    assert done.stdout == ""


def test_no_python_is_said(bare: Path) -> None:
    done = dev(bare, "demo")
    assert done.returncode == 2
    assert "no Python 3.11 or newer found" in done.stderr


def test_an_old_python_is_no_python(bare: Path) -> None:
    program(bare, "python3", "exit 1")
    program(bare, "python3.13", "echo 'not enabled here' >&2; exit 127")
    done = dev(bare, "test")
    assert done.returncode == 2
    assert "no Python 3.11 or newer found" in done.stderr


def test_a_python_without_venv_names_the_package_to_install(bare: Path) -> None:
    program(bare, "python3.12", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = dev(bare, "demo")
    assert done.returncode == 2
    assert "python3.12 cannot make environments" in done.stderr
    assert "python3-venv" in done.stderr


def ready(home: Path) -> None:
    """Put a stand-in where .venv's Python is: it writes down what it is told to do."""
    folder = home / ".venv" / "bin"
    folder.mkdir(parents=True)
    path = folder / "python"
    path.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo Python 3.12; exit; }\necho "$*" >>"$LOG"\n')
    path.chmod(0o755)


def told(home: Path) -> list[str]:
    """Return what the stand-in was told, but for the questions after its version."""
    lines = (home / "log").read_text().splitlines()
    return [line for line in lines if line.startswith("-m")]


def test_what_is_locked_is_installed_once(bare: Path) -> None:
    ready(bare)
    log = str(bare / "log")
    dev(bare, "bench", "plan", "--json", LOG=log)
    quiet = "-m pip install --quiet --disable-pip-version-check"
    assert told(bare) == [
        f"{quiet} --no-deps --require-hashes --only-binary :all: -r requirements-dev.lock",
        f"{quiet} --no-deps --no-build-isolation -e .",
        "-m pip check --disable-pip-version-check",
        "-m benchmarks plan --json",
    ]
    dev(bare, "bench", "plan", LOG=log)
    assert told(bare)[4:] == ["-m benchmarks plan"]
    with (bare / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    done = dev(bare, "bench", "plan", LOG=log)
    assert len(told(bare)) == 9
    assert done.stdout == ""


def test_a_failing_pip_ends_it_and_is_not_taken_for_done(bare: Path) -> None:
    ready(bare)
    python = bare / ".venv" / "bin" / "python"
    python.write_text(python.read_text() + 'case "$*" in *pip*) exit 1 ;; esac\n')
    for _ in range(2):
        done = dev(bare, "lint", LOG=str(bare / "log"))
        assert done.returncode == 2
        assert "pip could not install" in done.stderr
    assert not any("ruff" in line for line in told(bare))


def test_where_servers_cannot_be_installed_the_reason_is_said(bare: Path) -> None:
    ready(bare)
    done = dev(bare, "test", "--long", LOG=str(bare / "log"))
    assert done.returncode == 0
    assert "this machine has no apt-get" in done.stderr
    assert "will be skipped" in done.stderr
    assert told(bare)[-1] == "-m pytest --long"


def test_in_ci_servers_that_cannot_be_installed_are_an_error(bare: Path) -> None:
    ready(bare)
    done = dev(bare, "test", LOG=str(bare / "log"), CI="true")
    assert done.returncode == 2
    assert "In CI nothing may be skipped" in done.stderr
    assert not any("pytest" in line for line in told(bare))


# ── installing the servers ──────────────────────────────────────────────────────────────

APT_GET = """echo "$4 $(cat "$POLICY_RC_D")" >>"$LOG"
case "$*" in *install*)
  [ -n "$BROKEN" ] && exit 100
  for name in slapd ldapsearch openssl postgres pgbouncer; do
    echo '#!/bin/sh' >"$BIN/$name"
    chmod 755 "$BIN/$name"
  done
esac"""


@pytest.fixture
def apt(bare: Path) -> dict[str, str]:
    """A stand-in for apt-get that writes down what daemons may do; the environment it needs."""
    ready(bare)
    for name in ("tee", "chmod", "mv", "true"):
        (bare.parent / "bin" / name).symlink_to(shutil.which(name) or name)
    program(bare, "sudo", 'shift; exec "$@"')
    program(bare, "apt-get", APT_GET)
    (bare / "policy-rc.d").write_text("the policy of this machine")
    return {
        "POLICY_RC_D": str(bare / "policy-rc.d"),
        "LOG": str(bare / "log"),
        "BIN": str(bare.parent / "bin"),
    }


def test_servers_are_installed_without_starting_a_daemon(bare: Path, apt: dict[str, str]) -> None:
    done = dev(bare, "test", CI="true", **apt)
    assert done.returncode == 0, done.stderr
    log = (bare / "log").read_text()
    assert log.index("update #!/bin/sh\nexit 101") < log.index("-y #!/bin/sh\nexit 101")
    assert told(bare)[-1] == "-m pytest -n auto --dist worksteal"
    assert (bare / "policy-rc.d").read_text() == "the policy of this machine"
    assert sorted(path.name for path in bare.glob("policy*")) == ["policy-rc.d"]


def test_a_failed_installation_puts_the_policy_back_too(bare: Path, apt: dict[str, str]) -> None:
    done = dev(bare, "test", BROKEN="yes", **apt)
    assert done.returncode == 0
    assert "apt-get failed" in done.stderr
    assert (bare / "policy-rc.d").read_text() == "the policy of this machine"
    assert dev(bare, "test", BROKEN="yes", CI="true", **apt).returncode == 2


def test_where_there_was_no_policy_none_is_left(bare: Path, apt: dict[str, str]) -> None:
    (bare / "policy-rc.d").unlink()
    assert dev(bare, "test", CI="true", **apt).returncode == 0
    assert not list(bare.glob("policy*"))
