"""A session with PostgreSQL: a long statement is waited for, a silent network is not."""

from __future__ import annotations

import time

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from idsync.errors import Unavailable
from idsync.store.postgres import postgres_engine
from idsync.store.sessions import Session
from tests.servers.cable import Cable

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

QUICK_S = 0.3


def test_a_statement_that_takes_longer_than_the_signs_is_waited_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "sign_s", QUICK_S)
    engine = postgres_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 7 FROM pg_sleep(1.5)")).scalar() == 7
    engine.dispose()


@pytest.mark.case("C4")
def test_a_session_whose_answers_never_come_is_given_up_and_another_one_is_made(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "sign_s", QUICK_S)
    address = make_url(postgres_url)
    assert address.port is not None
    with Cable(address.port) as cable:
        far = address.set(port=cable.port).render_as_string(hide_password=False)
        engine = postgres_engine(f"{far}&connect_timeout=2")
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
            cable.swallow("to client")
            with pytest.raises(Unavailable, match="does not answer in time"):
                connection.execute(text("SELECT 2"))
        begun = time.monotonic()
        with pytest.raises(Unavailable), engine.connect():
            pass
        assert time.monotonic() - begun < 30, "also who connects waits not for ever"
        cable.mend()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 3")).scalar() == 3
        engine.dispose()


@pytest.mark.case("C4")
def test_a_session_that_the_way_has_forgotten_is_given_up_though_the_server_answers(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "sign_s", QUICK_S)
    address = make_url(postgres_url)
    assert address.port is not None
    with Cable(address.port) as cable:
        far = address.set(port=cable.port).render_as_string(hide_password=False)
        engine = postgres_engine(far)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            cable.forget()
            with pytest.raises(Unavailable):
                connection.execute(text("SELECT 2"))
            with engine.connect() as other:
                assert other.execute(text("SELECT 3")).scalar() == 3
        engine.dispose()


@pytest.mark.case("C4")
def test_a_session_that_has_no_other_way_to_ask_is_given_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "sign_s", QUICK_S)
    given = make_url(postgres_url).set(drivername="postgresql")
    with (
        Session.connect(given.render_as_string(hide_password=False)) as alone,
        pytest.raises(psycopg.OperationalError, match="no sign of the server"),
    ):
        alone.execute("SELECT pg_sleep(5)")
