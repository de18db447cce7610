"""Warnings for operators: the fixed words of our own lines, few of them, and none of their data."""

import logging
import threading
from datetime import UTC

import pytest
import structlog

from gateway.logs import formats
from gateway.logs.warnings_kept import KEPT_MAX, WarningsKept

NUMBER = "+15005551000"


@pytest.fixture
def kept():
    """The handler of a process that logs as a deployed one does."""
    formats.configure("debug", "json")
    handler = WarningsKept()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def log():
    return structlog.get_logger("gateway.test")


def test_a_warning_is_its_words_and_the_calls_id_and_nothing_else(kept, log):
    log.warning("callback refused", call_id="c1", number=NUMBER, token="ct_secretsecret")
    log.error("store away")
    first, second = kept.take()
    assert (first.event, first.call_id, first.is_error) == ("callback refused", "c1", False)
    assert (second.event, second.call_id, second.is_error) == ("store away", "", True)
    assert first.at.tzinfo is UTC
    assert first.at <= second.at
    assert NUMBER not in repr(first)
    assert "secret" not in repr(first)
    assert kept.take() == []


def test_an_exception_is_an_error_without_its_text(kept, log):
    try:
        raise ZeroDivisionError(NUMBER)
    except ZeroDivisionError:
        log.exception("part failed")
    (line,) = kept.take()
    assert (line.event, line.is_error) == ("part failed", True)
    assert NUMBER not in repr(line)


def test_what_is_no_warning_or_not_ours_is_not_kept(kept, log):
    log.info("call settled", call_id="c1")
    log.debug("request broken off")
    logging.getLogger("uvicorn.error").error("Invalid request from %s", NUMBER)
    logging.getLogger("redis").warning("a library said %s", NUMBER)
    logging.getLogger("gateway.test").warning("not a line of structlog: %s", NUMBER)
    assert kept.take() == []


def test_a_line_of_whatever_kind_is_kept_as_words(kept, log):
    log.warning("odd", call_id=None)
    log.warning("odder", call_id=17)
    log.warning(None)
    assert [(each.event, each.call_id) for each in kept.take()] == [
        ("odd", ""),
        ("odder", "17"),
        ("None", ""),
    ]


def test_the_newest_are_kept_and_no_more(kept, log):
    for n in range(KEPT_MAX + 9):
        log.warning(f"line {n}")
    assert [each.event for each in kept.take()] == [f"line {n}" for n in range(9, KEPT_MAX + 9)]


def test_no_line_of_another_thread_is_taken_twice_or_lost(kept, log):
    taken = []

    def write(name):
        for n in range(15):
            log.warning(f"{name} {n}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += kept.take()
    taken += kept.take()
    events = [each.event for each in taken]
    assert sorted(events) == sorted(f"{name} {n}" for name in "abcd" for n in range(15))
