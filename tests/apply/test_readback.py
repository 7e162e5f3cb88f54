"""What a record shows, held against each kind of change: before it is sent, and after."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from idsync.apply.before import still_fitting
from idsync.apply.readback import achieved, gives, left, takes_away
from idsync.model import Cardholder, Credential, Grant, Reason
from idsync.plan.attributes import HIDDEN
from idsync.plan.items import items
from tests.plan.examples import NOW

DAY = timedelta(days=1)
OLD, NEW, OTHER = NOW + DAY, NOW + 2 * DAY, NOW + 3 * DAY
BY_HAND = (Reason(type="manual", ref="Anna"),)
IMPORTED = (Reason(type="imported", ref="förr"),)


def one(part: str, **more: Any) -> pl.DataFrame:
    """Return one item of a plan."""
    known: dict[str, Any] = {
        "target": "hall", "person_id": "id-1", "key": "n1", "part": part, "kind": "", "ref": part,
        "was": True, "shall": True, "creates": False, "confirmed": False, "effect": "neutral",
    }  # fmt: skip
    return items(pl.DataFrame({"key": ["n1"]}), **{**known, **more})


def given(**more: Any) -> pl.DataFrame:
    """A grant that is added."""
    new = {"was": False, "to_after": NEW, "effect": "gaining"}
    return one("grant", **{"kind": "access", "ref": "ENTRÉ", **new, **more})


def taken(**more: Any) -> pl.DataFrame:
    """A grant that is taken away."""
    gone = {"shall": False, "to_before": OLD, "effect": "losing"}
    return one("grant", **{"kind": "access", "ref": "ENTRÉ", **gone, **more})


def dated(**more: Any) -> pl.DataFrame:
    """A grant that gets another end."""
    moved = {"to_before": OLD, "to_after": NEW}
    return one("grant", **{"kind": "access", "ref": "ENTRÉ", **moved, **more})


def status(before: str = "active", after: str = "suspended", **more: Any) -> pl.DataFrame:
    return one("status", value_before=before, value_after=after, **more)


def card(before: str = "active", after: str = "suspended", **more: Any) -> pl.DataFrame:
    known = {"kind": "tag", "ref": "7001", "value_before": before, "value_after": after}
    return one("credential", **{**known, **more})


def mail(before: str | None = "a@x.se", after: str = "b@x.se") -> pl.DataFrame:
    return one("attribute", ref="mail", value_before=before, value_after=after)


def shown(*grants: Grant, **more: Any) -> Cardholder:
    return Cardholder(key="n1", native_id="x1", grants=grants, **more)


def right(end: Any, because: Any = (), kind: Any = "access", ref: str = "ENTRÉ") -> Grant:
    return Grant(ref=ref, kind=kind, valid_to=end, because=because)


def tag(state: Any, number: str = "7001", medium: Any = "tag") -> Credential:
    return Credential(number=number, medium=medium, state=state)


# ── after it was sent ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("item", "there", "stands"),
    [
        (given(), shown(right(NEW)), True),
        (given(), shown(right(NEW, BY_HAND)), True),  # whoever gave it: it is there
        (given(), shown(), False),
        (given(), shown(right(OLD)), False),
        (given(), shown(right(NEW, kind="alarm")), False),
        (given(), shown(right(NEW, ref="KÖK")), False),
        (given(), None, False),
        (given(from_after=OLD), shown(right(NEW)), False),
        (taken(), shown(), True),
        (taken(), None, True),
        (taken(), shown(right(OLD)), False),
        (taken(), shown(right(OLD, IMPORTED)), False),
        (taken(), shown(right(OLD, BY_HAND)), True),  # the hands' own stays
        (taken(), shown(right(NEW)), True),
        (taken(), shown(right(OLD, kind="alarm")), True),
        (dated(), shown(right(NEW)), True),
        (dated(), shown(right(OLD)), False),
        (dated(), shown(right(OLD), right(NEW)), False),
        (dated(), shown(), False),
        (dated(), None, False),
        (status(), shown(status="suspended"), True),
        (status(), shown(), False),
        (status(), None, False),
        (card(), shown(credentials=(tag("suspended"),)), True),
        (card(), shown(credentials=(tag("active"),)), False),
        (card(), shown(credentials=(tag("suspended"), tag("active"))), False),
        (card(), shown(credentials=(tag("active", "7002"), tag("active", medium="card"))), True),
        (card(), shown(), True),  # a card that is not there opens nothing
        (card(), None, False),
        (one("again"), shown(), True),
        (one("again"), shown(amiss="not taken"), False),
        (one("again"), None, False),
        (mail(), shown(mail="b@x.se"), True),
        (mail(), shown(mail="a@x.se"), False),
        (mail(after=""), shown(mail=None), True),
        (mail(), None, False),
    ],
)
def test_what_stands_is_what_shows(
    item: pl.DataFrame, there: Cardholder | None, stands: bool
) -> None:
    assert achieved(item, there).height == int(stands)


def test_of_several_exactly_those_that_show_stand() -> None:
    both = pl.concat([given(), mail(), status()])
    there = shown(right(NEW), mail="a@x.se", status="suspended")
    assert list(achieved(both, there)["part"]) == ["grant", "status"]


def test_a_grant_that_lost_its_old_dates_and_has_not_the_new_is_gone() -> None:
    half = left(dated(), shown(right(OTHER)))
    assert half.select("was", "shall", "to_before", "to_after", "from_after").row(0) == (
        True, False, OLD, None, None,
    )  # fmt: skip
    assert half.schema == dated().schema
    assert left(dated(), None).height == 1
    assert left(dated(), shown(right(OLD))).is_empty(), "it is as it was"
    whole = left(dated(), shown(right(NEW)))
    assert whole.select("shall", "to_after").row(0) == (True, NEW), "told once, as it stands"
    assert whole.height == 1


def test_of_two_grants_of_one_right_each_is_told_by_its_own_dates() -> None:
    two = pl.concat([dated(), dated(to_before=OTHER, to_after=NEW + 3 * DAY)])
    half = left(two, shown(right(NEW)))
    assert half.select("shall", "to_before").rows() == [(True, OLD), (False, OTHER)]


def test_what_is_only_given_or_renamed_is_believed_and_all_else_is_looked_at() -> None:
    assert not takes_away(given())
    assert not takes_away(mail())
    for item in (taken(), dated(), status(), card(), one("again")):
        assert takes_away(item)
        assert takes_away(pl.concat([given(), item]))


def test_what_opens_something_is_told_by_its_effect_and_what_is_sent_again_may() -> None:
    assert gives(given())
    assert gives(status("suspended", "active", effect="gaining"))
    assert gives(one("again"))
    assert not gives(one("again", confirmed=True))
    assert not gives(pl.concat([taken(), status(effect="losing"), mail()]))
    assert gives(pl.concat([taken(), given()]))


# ── before it is sent ───────────────────────────────────────────────────────────────────


def verdict(item: pl.DataFrame, there: Cardholder | None, *, one_per_right: bool = False) -> str:
    fit = still_fitting(item, there, one_per_right=one_per_right)
    assert fit.due.height + fit.overtaken.height <= 1
    return "due" if fit.due.height else "overtaken" if fit.overtaken.height else "done"


@pytest.mark.parametrize(
    ("item", "there", "found"),
    [
        (one("again"), shown(), "due"),
        (one("again"), None, "due"),
        (given(creates=True), None, "due"),
        (given(creates=True), shown(), "overtaken"),
        (given(), None, "overtaken"),
        (taken(), None, "done"),
        (status(), None, "done"),
        (status("suspended", "active"), None, "overtaken"),
        (mail(), None, "overtaken"),
        (given(), shown(), "due"),
        (given(), shown(right(NEW)), "overtaken"),
        (given(), shown(right(NEW, BY_HAND)), "overtaken"),
        (given(), shown(right(OTHER)), "due"),
        (given(), shown(right(NEW, ref="KÖK")), "due"),
        (taken(), shown(right(OLD)), "due"),
        (taken(), shown(right(OLD, IMPORTED)), "due"),
        (taken(), shown(right(OLD, BY_HAND)), "done"),
        (taken(), shown(), "done"),
        (dated(), shown(right(OLD)), "due"),
        (dated(), shown(right(OTHER)), "overtaken"),
        (dated(), shown(right(OLD, BY_HAND)), "overtaken"),
        (status(), shown(), "due"),
        (status(), shown(status="suspended"), "done"),
        (status("suspended", "active"), shown(status="suspended"), "due"),
        (card(), shown(credentials=(tag("active"),)), "due"),
        (card(), shown(credentials=(tag("suspended"),)), "done"),
        (card(), shown(credentials=(tag("lost"),)), "overtaken"),
        (card(), shown(credentials=(tag("active", "7002"), tag("lost"))), "overtaken"),
        (card(), shown(credentials=(tag("suspended", medium="card"), tag("active"))), "due"),
        (card(), shown(), "overtaken"),
        (mail(), shown(mail="a@x.se"), "due"),
        (mail(), shown(mail="b@x.se"), "done"),
        (mail(), shown(mail="c@x.se"), "overtaken"),
        (mail(None), shown(mail=None), "due"),
        (mail(None), shown(mail="c@x.se"), "overtaken"),
        (mail(HIDDEN), shown(mail="whatever@x.se"), "due"),
    ],
)
def test_what_is_sent_is_what_still_finds_what_the_plan_saw(
    item: pl.DataFrame, there: Cardholder | None, found: str
) -> None:
    assert verdict(item, there) == found


def test_where_a_right_is_held_once_another_time_stands_in_the_way() -> None:
    assert verdict(given(), shown(right(OTHER)), one_per_right=True) == "overtaken"
    assert verdict(given(), shown(right(OTHER, ref="KÖK")), one_per_right=True) == "due"


def test_what_of_our_own_went_meanwhile_is_told_as_gone() -> None:
    both = pl.concat([taken(), dated(ref="KÖK"), given(ref="LARM"), mail()])
    fit = still_fitting(both, shown(mail="a@x.se"), one_per_right=False)
    assert list(fit.due["ref"]) == ["LARM", "mail"]
    assert list(fit.overtaken["ref"]) == ["KÖK"]
    assert fit.gone.select("ref", "was", "shall").rows() == [
        ("ENTRÉ", True, False), ("KÖK", True, False),
    ]  # fmt: skip
