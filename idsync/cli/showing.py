"""How plans and runs are shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idsync.cli.console import local_time, print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from idsync.mapping.correlate import People
    from idsync.plan.document import Plan
    from idsync.service.revoking import Closed
    from idsync.store import Progress, Revocation

SHOWN_CHANGES = 20


def show_sources(sources: dict[str, Any]) -> None:
    """Show what was read, and why what was not was not."""
    rows = [
        [
            name,
            source["records"],
            "complete" if source["complete"] else "INCOMPLETE",
            source["reason"],
        ]
        for name, source in sources.items()
    ]
    print_table("Sources", ["source", "records", "read", "proof, or what is wrong"], rows)
    for name, source in sources.items():
        if source["absent"]:
            again = " This delivery came before: it is no other read." if source["again"] else ""
            say(
                f"{name}: {source['absent']} records did not come and stand as last known, until "
                f"more complete reads have missed them.{again}"
            )


def show_targets(targets: dict[str, Any], *, done: bool) -> None:
    """Show each target's counts."""
    columns = ["create", "update", "revoke", "unchanged", "held"]
    if done:
        columns += ["written", "confirmed", "refused", "unknown"]
    columns += ["adopt", "local"]
    rows = [[name, *(counts[column] for column in columns)] for name, counts in targets.items()]
    print_table("Targets (people)", ["target", *columns], rows)
    for name, counts in targets.items():
        if counts["waiting"]:
            say(
                f"{name}: {counts['waiting']} people are absent and keep what they have: they lose "
                "it when enough complete reads have missed them."
            )
        if not counts["complete"]:
            say(f"{name} could not be read: {counts['reason']}")
        if counts["adoptable"] and not counts["adopt"]:
            say(
                f"{name}: {counts['adoptable']} grants found there equal what the rules give "
                'and are not idsync\'s own; adopt = "matching" would make them so.'
            )


def aged(part: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return a held part with how long it has waited: `waited_hours`, and how `urgent` it is."""
    from idsync.service.braking import urgency

    hours, urgent = urgency(part["first_seen_at"], now)
    return {**part, "waited_hours": hours, "urgent": urgent}


def waits_since(part: dict[str, Any]) -> str:
    """In words, how long a part has waited, from the first day on."""
    if part["urgent"] == "new":
        return ""
    days = part["waited_hours"] // 24
    loud = "OVERDUE, " if part["urgent"] == "overdue" else ""
    return f" ({loud}waits for {days} day{'' if days == 1 else 's'})"


def limit_words(part: dict[str, Any]) -> str:
    """In words, what is full."""
    if part["window"] == "floor":
        return f"{part['base']} can use it there now, and {part['limit']} must stay"
    lets = f"the brake lets {part['limit']} through"
    if part["window"] != "run":
        lets += f" in {part['window']}, where {part['before']} others have changed"
    if part["approvals"] > 1:
        lets += "; two people must approve"
    return f"{part['base']} hold any there now, and {lets}"


def show_held(held: list[dict[str, Any]], now: datetime) -> None:
    """Show what waits for a person, and how to let it go."""
    for told in held:
        part = aged(told, now)
        if part["scope"] == "clock":
            say(
                "HELD: the clock of this machine has gone back, or 45 days ahead, since the last "
                f"run: nothing that dates decide is done ({part['people']} people). Set it right "
                "and run again. If it is right, say so with: "
                f'idsync approve {part["digest"][:12]} --reason "…"'
            )
            continue
        say(
            f"HELD{waits_since(part)}: {part['scope']}: {part['people']} people would be "
            f"{part['direction']} access; {limit_words(part)}.\n"
            "      Look at it with `idsync plan`; let it go with: "
            f'idsync approve {part["digest"][:12]} --reason "…"'
        )


def show_changes(plan: Plan, people: People) -> None:
    """Show the first changes, with names for those whose names may be shown."""
    from idsync.plan.attributes import shown_attributes
    from idsync.plan.brake import ABSENT

    if plan.items.is_empty():
        return
    names = shown_attributes(people).select("person_id", name="display_name")
    shown = plan.items.join(names, on="person_id", how="left", maintain_order="left")
    rows = [
        [
            row["target"],
            row["name"] or f"Person {row['person_id'][:8]}",
            _what(row),
            row["because"],
            {None: "", ABSENT: "absent, waits"}.get(row["held"], "held"),
        ]
        for row in shown.head(SHOWN_CHANGES).to_dicts()
    ]
    print_table("Changes", ["target", "person", "what", "because", ""], rows)
    if shown.height > SHOWN_CHANGES:
        say(f"… and {shown.height - SHOWN_CHANGES} more: --save FILE or --json shows all.")


def _what(row: dict[str, Any]) -> str:
    if row["part"] == "grant":
        sign = "~" if row["was"] and row["shall"] else "+" if row["shall"] else "-"
        return f"{sign} {row['ref']}"
    if row["part"] == "attribute":
        return f"{row['ref']} is written anew"
    name = "cardholder" if row["part"] == "status" else f"card {row['ref']}"
    return f"{name}: {row['value_before']} → {row['value_after']}"


def exit_code(outcome: str) -> int:
    """Return the exit code of an outcome."""
    return {"incomplete": 4, "held": 3, "partial": 1}.get(outcome, 0)


def show_run(document: dict[str, Any]) -> None:
    """Show what a run did."""
    from datetime import datetime

    show_sources(document["sources"])
    show_targets(document["targets"], done=True)
    for problem in document["problems"][:SHOWN_CHANGES]:
        say(f"{problem['target']}: Person {problem['person'][:8]}: {problem['reason']}")
    show_held(document["held"], datetime.fromisoformat(document["made_at"]))
    for one in document["minimised"]:
        people = f"{one['people']} protected {'person' if one['people'] == 1 else 'people'}"
        kept = "; what stood there may be in its history yet" if one["keeps_history"] else ""
        say(f"{one['target']}: names of {people} are overwritten{kept} (docs/privacy.md).")
    words = {
        "no-change": "Nothing to change; no write was sent.",
        "applied": "Done.",
        "held": "Done, but for what is held.",
        "partial": "Done, but for the people named above; the next run tries again.",
        "incomplete": "Done as far as it is safe: what could not be read is not acted on.",
    }
    writes = document["writes"]
    say(f"{words[document['outcome']]} {writes} write{'' if writes == 1 else 's'}.")


def whom(person: str, employment: str | None) -> str:
    """In words, on whom an order is."""
    return f"Person {person[:8]}" + (f", {employment}" if employment is not None else "")


def show_closed(
    order: Revocation, closed: list[Closed], times: Mapping[str, Progress], zone: ZoneInfo
) -> None:
    """Show what each target shows of somebody whose access was ended, and when that was."""
    since = local_time(order.ordered_at, zone)
    person, part = f"Person {order.person_id[:8]}", order.employment
    ends = f"{person} opens nothing from now on."
    if part is not None:
        ends = f"employment {part} of {person} gives nothing from now on, what others give stays."
    say(f"Order {order.id} stands since {since}: {ends}")
    words = {
        "confirmed": "closed, seen there" if part is None else "gone, seen there",
        "submitted": "asked; it answers later",
        "nothing": "has nothing of theirs",
    }
    rows = [
        [
            one.target,
            words.get(one.outcome, one.outcome.upper()),
            *_times(times.get(one.target), zone),
            _remark(one, zone),
        ]
        for one in closed
    ]
    print_table("", ["target", "shows", "sent", "confirmed", "remark"], rows)
    if any(one.outcome == "submitted" for one in closed):
        say("What was asked and not answered yet shows in `idsync status` until it is.")
    if any(one.outcome not in words for one in closed):
        say("Not every system has confirmed: put that right and run `idsync revoke` again.")


def _times(one: Progress | None, zone: ZoneInfo) -> tuple[str, str]:
    """When it was sent, and when first confirmed; "": it was not."""
    sent = one.sent_at if one else None
    seen = one.confirmed_at if one else None
    return local_time(sent, zone) if sent else "", local_time(seen, zone) if seen else ""


def show_progress(rows: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> None:
    """Show when orders were accepted, sent and confirmed, target by target."""
    shown = [
        [
            row["order"], whom(row["person"], row["employment"]), row["target"],
            *(local_time(row[name], zone) if row[name] else ""
              for name in ("accepted_at", "sent_at", "confirmed_at")),
        ]
        for row in rows[:SHOWN_CHANGES]
    ]  # fmt: skip
    if shown:
        columns = ["order", "person", "target", "accepted", "sent", "confirmed"]
        print_table("Revocations that stand, the newest first", columns, shown)
    if len(rows) > SHOWN_CHANGES:
        say(f"… and {len(rows) - SHOWN_CHANGES} more: --json shows all.")


def _remark(one: Closed, zone: ZoneInfo) -> str:
    until = one.open_until.astimezone(zone) if one.open_until else None
    locks = f"an offline lock may open until {until:%Y-%m-%d %H:%M}" if until else ""
    return " ".join(part for part in (one.reason, locks) if part)
