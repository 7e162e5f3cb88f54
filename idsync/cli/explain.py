"""idsync explain: why, and why not."""

from __future__ import annotations

from pathlib import Path

import click

from idsync.cli.console import controller_option, opened, options, print_json, say


@click.command()
@click.argument("person")
@click.option("--target", help="One target only.")
@click.option("--grant", help="One right only, by the target's own name.")
@controller_option
@options
def command(
    person: str,
    target: str | None,
    grant: str | None,
    controller: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Say why somebody has access, and why not: rules, employments, training, dates.

    PERSON is an employee number, user name, mail or idsync's id, as known since the last
    sync. With --grant it also says what is missing for a right that is not given.
    """
    from dataclasses import asdict

    from idsync.mapping.explain import explain
    from idsync.service.applying import clock
    from idsync.service.finding import find_person, require_target
    from idsync.service.planning import desire_of, orders_of, stored_people
    from idsync.service.revoking import only
    from idsync.service.scope import scope_of

    with opened(config, create=False) as (whole, state):
        everybody = stored_people(whole, state)
        scope = scope_of(whole, controller) if controller is not None else None
        checked = scope.config(whole) if scope else whole
        everybody = scope.people(everybody) if scope else everybody
        require_target(checked, target)
        found = find_person(person, everybody, state, only_these=scope is not None)
        now = clock()
        alone = only(everybody, found)
        desired = desire_of(checked, alone, orders_of(state, alone), now)
        orders = [order for order in state.orders.revocations() if order.person_id == found]
        if scope is not None:
            orders = scope.orders(orders, alone)
        ended = {order.employment: order.id for order in orders if order.employment is not None}
        told = explain(
            found, desired, now=now, target=target, grant=grant, ended=ended, everybody=alone
        )
        if as_json:
            print_json(
                {"format": "idsync.explanation/1", "person": found,
                 "revoked": [asdict(order) for order in orders], **asdict(told)}
            )  # fmt: skip
            return 0
        for order in orders:
            if order.employment is not None:
                continue  # told where the employments are
            say(f"Revoked by order {order.id}: opens nothing, whatever the rules give.")
        for sentence in told.sentences:
            say(sentence)
    return 0
