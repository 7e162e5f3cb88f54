"""idsync demo: the whole thing on a made-up city."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from idsync.cli.console import Progress, print_json, print_table, say, vars_of

if TYPE_CHECKING:
    from idsync.config import Config
    from idsync.store import State


@click.command()
@click.option(
    "--people",
    default=2000,
    show_default=True,
    type=click.IntRange(100, 1_000_000),
    help="How many people are in its HR file.",
)
@click.option("--seed", default=7, show_default=True, help="Another number, another city.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where the city is made, and stays.  [default: a temporary folder, removed at the end]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(people: int, seed: int, folder: Path | None, as_json: bool) -> int:
    """Run the whole thing on a made-up city, on this machine only.

    Makes a city, reads it, lists the orphans, plans, applies, runs again with nothing left
    to do, ends one person's access, and explains another's. Nobody in it exists.
    """
    import tempfile

    if folder is not None:
        from idsync.errors import ConfigError

        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: name a new folder for the city")
        return _run(folder, people, seed, as_json)
    with tempfile.TemporaryDirectory(prefix="idsync-demo-") as temporary:
        return _run(Path(temporary), people, seed, as_json)


def _run(folder: Path, people: int, seed: int, as_json: bool) -> int:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from idsync.config import load
    from idsync.service.making_cities import make_city
    from idsync.store import open_state

    progress = Progress(quiet=as_json)
    progress(f"making a city of {people} people")
    today = datetime.now(ZoneInfo("Europe/Stockholm")).date()
    make_city(folder, people, seed, today)
    progress.end()
    config = load(folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    try:
        told = _Story(config, state, progress, as_json).tell()
    finally:
        state.close()
    if as_json:
        print_json(told)
    return 0


class _Story:
    """The chapters of the demonstration, each the work of a real command."""

    def __init__(self, config: Config, state: State, progress: Progress, as_json: bool) -> None:
        self.config = config
        self.state = state
        self.progress = progress
        self.as_json = as_json

    def heading(self, number: int, text: str) -> None:
        if not self.as_json:
            click.secho(f"\n{number}. {text}", bold=True)

    def tell(self) -> dict[str, Any]:
        from idsync.cli.showing import show_changes, show_run, show_sources, show_targets
        from idsync.service.applying import clock, sync
        from idsync.service.finding_orphans import orphans_of
        from idsync.service.looking import look

        seen = look(self.config, self.state, clock(), self.progress)
        self.progress.end()
        header = seen.plan.header()
        orphans = orphans_of(self.config, self.state, seen, clock())
        self.heading(1, "What was read")
        if not self.as_json:
            show_sources(header["sources"])
        self.heading(2, "Orphans: tags and grants that nothing explains  (idsync orphans)")
        counts = orphans.group_by("target", "cls").len().sort("target", "cls")
        if not self.as_json:
            print_table("", ["target", "class", "tags and grants"], counts.rows())
        self.heading(3, "The plan: what would change, and why  (idsync plan)")
        if not self.as_json:
            show_targets(header["targets"], done=False)
            show_changes(seen.plan, seen.people)
        self.heading(4, "Applied within the brakes  (idsync sync)")
        first = sync(self.config, self.state, self.progress, step=self.progress.step).document()
        self.progress.end()
        if not self.as_json:
            show_run(first)
        self.heading(5, "The same again: nothing left to do  (idsync sync)")
        second = sync(self.config, self.state, self.progress).document()
        self.progress.end()
        if not self.as_json:
            say(f"{second['outcome']}, {second['writes']} writes.")
        self.heading(6, "One person's access ends now  (idsync revoke)")
        person, revocation = self._revoke()
        self.heading(7, "Why somebody has access  (idsync explain)")
        sentences = self._explain(person)
        return {
            "format": "idsync.demo/1", "orphans": counts.to_dicts(), "plan": header, "first": first,
            "second": second, "revocation": revocation, "explanation": sentences,
        }  # fmt: skip

    def _revoke(self) -> tuple[str, list[dict[str, Any]]]:
        from idsync.cli.showing import show_closed
        from idsync.service.applying import clock
        from idsync.service.revoking import close_person

        person = self._somebody(0)
        order = self.state.orders.revoke(person, "demonstration", "demo", clock())
        run = self.state.begin_run("revoke", clock())
        closed = close_person(self.config, self.state, person, run, clock)
        self.state.end_run(run, "applied", {}, clock())
        if not self.as_json:
            times = {one.target: one for one in self.state.closings.progress(order.id)}
            show_closed(order, closed, times, self.config.idsync.timezone)
        return person, [{**vars_of(one), "at": one.at.isoformat()} for one in closed]

    def _explain(self, revoked: str) -> list[str]:
        from idsync.mapping.explain import explain
        from idsync.service.applying import clock
        from idsync.service.planning import desire_of, orders_of, stored_people
        from idsync.service.revoking import only

        person = self._somebody(1)
        people = only(stored_people(self.config, self.state), person)
        now = clock()
        orders = orders_of(self.state, people)
        told = explain(person, desire_of(self.config, people, orders, now), now=now)
        if not self.as_json:
            for sentence in told.sentences:
                say(sentence)
        return list(told.sentences)

    def _somebody(self, nth: int) -> str:
        """A person who holds rights in several targets, the same one every time."""
        import polars as pl

        from idsync.service.planning import LINKS, stored_people

        linked = pl.concat(
            [self.state.frames.load(f"link:{name}", LINKS) for name in self.config.targets]
        )
        plain = stored_people(self.config, self.state).persons.filter(
            pl.col("protection") == "none"
        )
        many = (
            linked.join(plain, left_on="person_id", right_on="id", how="semi")
            .group_by("person_id")
            .len()
            .sort("len", "person_id", descending=[True, False])
        )
        return str(many["person_id"][nth])
