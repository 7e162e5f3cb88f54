"""Groups of the directory, and which of them hold others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from idsync.testing.city.dice import Dice
from idsync.testing.city.posts import Post
from idsync.testing.city.units import DEPARTMENTS, UNITS, department_group

EVERYBODY = "Alla medarbetare"
CRISIS = "Krisledning"
CRISIS_STAFF = "Krisledningsstab"
ALARM = "Larmansvariga"
LOCKS = "Låsansvariga"
EVACUATION = "Utrymningsledare"
SERVERS = "Serverbehöriga"

PARENT = {
    **{unit.group: department_group(unit.code) for unit in UNITS},
    **{department_group(code): EVERYBODY for code in DEPARTMENTS},
    CRISIS_STAFF: CRISIS,
}
"""Which group holds another one as its member."""

GROUPS = (*PARENT, EVERYBODY, CRISIS, ALARM, LOCKS, EVACUATION, SERVERS)
"""Every group there is. At a small size some have no members."""


def groups_of(dice: Dice, posts: Sequence[Post], today: date, *, left: bool) -> list[str]:
    """Return the groups that name somebody with *posts* as a member.

    Those who *left* still stand in the group of their unit: nobody took them out.
    """
    shares = [dice.random() for _ in range(7)]
    if left:
        return [posts[0].unit.group]
    groups = dict.fromkeys(post.unit.group for post in posts if post.runs(today))
    jobs = {post.job.title for post in posts if post.runs(today)}
    courses = {course for post in posts if post.runs(today) for course in post.job.courses}
    leads = any(title == "Enhetschef" or title.startswith("Rektor") for title in jobs)
    offered = (
        (leads, 0.3, department_group(posts[0].unit.code)),
        (leads, 0.10, CRISIS_STAFF),
        ("Säkerhetssamordnare" in jobs, 0.8, CRISIS),
        ("larm-handhavande" in courses, 0.5, ALARM),
        (bool(jobs & {"Vaktmästare", "Fastighetsskötare"}), 0.6, LOCKS),
        ("It-tekniker" in jobs, 0.7, SERVERS),
        (bool(jobs), 0.03, EVACUATION),
    )
    for share, (fits, probability, group) in zip(shares, offered, strict=True):
        if fits and share < probability:
            groups[group] = None
    return list(groups)


def resolved(groups: Iterable[str]) -> list[str]:
    """Return *groups* and every group above them, each once, sorted by name."""
    found = set()
    for group in groups:
        above: str | None = group
        while above:
            found.add(above)
            above = PARENT.get(above)
    return sorted(found)
