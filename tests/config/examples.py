"""A good configuration, and the package of a stranger whose connectors it uses."""

STRANGERS_CODE = """
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from idsync.model import Kind
from idsync.settings import PathField, SecretField, Settings, ZoneField


class Trailer(Settings):
    starts_with: str
    count: int


class Number(Settings):
    number: int


def echo(value: str) -> str:
    raise ValueError(f"{value} is not good enough")


class Register:
    class Config(Settings):
        kind: Kind = "trainings"
        path: PathField
        password: SecretField | None = None
        timezone: ZoneField = Field(default=None, validate_default=True)
        delimiter: Annotated[str, Field(max_length=1)] = ","
        trailer: Trailer | None = None
        proof: Trailer | Number | None = None
        no_end: tuple[str, ...] = ("",)
        picky: Annotated[str, AfterValidator(echo)] | None = None

    def __init__(self, config):
        self.config = config


class Doors:
    class Config(Settings):
        url: str
        token: SecretField
        timeout_s: float = 30.0

    def __init__(self, config):
        self.config = config


class Naked:
    pass
"""

ENTRY_POINTS = """
[idsync.sources]
register = stranger:Register
unfinished = stranger_needs:Register
crashing = stranger_crashes:Register
naked = stranger:Naked

[idsync.targets]
doors = stranger:Doors
"""

GOOD = """
[idsync]
timezone = "Europe/Helsinki"

[correlation]
keys = ["employee_number"]
[correlation.precedence]
default = ["hr"]

[sources.hr]
type = "register"
kind = "employments"
path = "hr/löner.csv"

[targets.stadshuset]
type = "doors"
url = "https://dörrar.example.se"
token = { env = "IDSYNC_TOKEN" }
release = ["display_name"]

[[profiles]]
id = "förskola"
grants = { stadshuset = ["FSK-ENTRÉ", { ref = "LARM-FSK", kind = "alarm" }] }

[[rules]]
profile = "förskola"
when = { unit_under = "Förskoleförvaltningen", job_code = ["403010", "403011"] }
requires = ["brandskydd-grund"]
grace_days = 14
"""


def with_line(old: str, new: str) -> str:
    """Return the good file with one thing in it written otherwise."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)
