"""Log lines: ours and the libraries', for people or for machines, each once, and none a leak."""

import asyncio
import gc
import json
import logging
import sys
import threading
import time

import pytest
import structlog

from gateway.logs import formats
from gateway.logs.tracebacks import REPEATS_MAX

SECRET = "hunter2-hunter2"


@pytest.fixture
def written(capsys):
    """Return what was written to standard error."""
    return lambda: capsys.readouterr().err


def fail(secret):
    """Raise with a secret in every frame, and in no message."""
    held = {"secret": secret}
    raise ZeroDivisionError(f"{len(held)} failed")


def lines(written):
    return [json.loads(line) for line in written().splitlines()]


def test_machines_get_one_object_a_line(written):
    formats.configure("info", "json")
    logging.getLogger("gateway.test").warning("Call %s ended.", "c1")
    structlog.get_logger("billing.test").info("drained", entries=3)
    ours, theirs = lines(written)
    assert (ours["event"], ours["level"], ours["logger"]) == (
        "Call c1 ended.",
        "warning",
        "gateway.test",
    )
    assert (theirs["event"], theirs["entries"]) == ("drained", 3)
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_process_that_is_one_of_several_says_in_each_line_who_it_is(written, form, monkeypatch):
    monkeypatch.setattr(formats, "_writer", {})
    formats.configure("info", form)
    log = structlog.get_logger("gateway.test")
    log.info("drained")
    assert "node" not in written()
    formats.sign(node="n1-2")
    # The settings may be read again.
    formats.configure("info", form)
    log.info("drained")
    logging.getLogger("asyncio").warning("It took long.")
    with pytest.raises(ZeroDivisionError) as failed:
        fail(SECRET)
    formats.log_uncaught(failed.value, "process ended")
    said = written()
    assert said.count("n1-2") == 3
    assert SECRET not in said
    # What is about another node names that one.
    log.warning("node takes no connections", node="n9")
    assert "n1-2" not in (said := written())
    assert "n9" in said


@pytest.mark.parametrize("breaking", ["\n", "\r", "\x1b[2J", "\x85", "\u2028", "\u202e", "\x00"])
def test_what_somebody_sent_neither_breaks_a_line_nor_steers_the_terminal(written, breaking):
    formats.configure("info", "text")
    sent = f"CA1{breaking}2026-01-01 [info] called ✓ añ"
    structlog.get_logger("gateway.test").warning("ignored", carrier_call_id=sent)
    logging.getLogger("somelibrary").warning("Sent %s.", sent)
    ours, theirs, end = written().split("\n")
    for line in (ours, theirs):
        assert f"{ascii(breaking)[1:-1]}2026-01-01 [info] called ✓ añ" in line
        assert line.isprintable()
    assert end == ""


def test_a_fault_is_one_line_for_machines(written):
    formats.configure("info", "json")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("gateway.test").exception("It failed.")
    (line,) = lines(written)
    assert "Traceback" in line["exception"]


def test_people_get_plain_text_where_nobody_looks(written):
    formats.configure("info", "text")
    logging.getLogger("gateway.test").info("The credit store is back.")
    text = written()
    assert "The credit store is back." in text
    assert "\x1b[" not in text


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_less_severe_lines_are_left_out(written, level):
    formats.configure(level, "json")
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("gateway.test"), name)(name)
    severities = ["debug", "info", "warning", "error"]
    assert [line["event"] for line in lines(written)] == severities[severities.index(level) :]


def test_chatty_libraries_are_quiet(written):
    formats.configure("info", "json")
    for name in ("uvicorn", "uvicorn.error", "alembic.runtime.migration"):
        logging.getLogger(name).info("chatter")
    assert written() == ""


def test_configuring_twice_writes_once(written):
    formats.configure("info", "json")
    formats.configure("info", "json")
    logging.getLogger("gateway.test").info("once")
    assert len(lines(written)) == 1


def by_logging(error):
    logging.getLogger("gateway.test").exception("It failed.")


def by_a_library(error):
    logging.getLogger("redis").error("It failed.", exc_info=error)


def by_structlog(error):
    structlog.get_logger("gateway.test").exception("It failed.")


def by_structlog_given_it(error):
    structlog.get_logger("gateway.test").warning("It failed.", exc_info=error)


def by_the_loop(error):
    async def report():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(formats.on_loop_error)
        loop.call_exception_handler({"message": "It failed.", "exception": error})

    asyncio.run(report())


def by_a_thread(error):
    def run():
        raise error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def by_a_destructor(error):
    class Ends:
        def __del__(self):
            raise error

    Ends()
    gc.collect()


WAYS = [
    by_logging,
    by_a_library,
    by_structlog,
    by_structlog_given_it,
    by_the_loop,
    by_a_thread,
    by_a_destructor,
]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", ["debug", "error"])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_logging_a_fault_shows_variables(written, form, level, way):
    formats.configure(level, form)
    formats.take_hooks()
    try:
        fail(SECRET)
    except ZeroDivisionError as error:
        way(error)
    text = written()
    if level == "error" and way is by_structlog_given_it:
        assert text == ""
        return
    assert "ZeroDivisionError: 1 failed" in text
    assert "in fail" in text
    assert SECRET not in text


def test_what_a_terminal_shows_has_no_variables_either(written, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    formats.configure("info", "text")
    try:
        fail(SECRET)
    except ZeroDivisionError as error:
        by_logging(error)
    text = written()
    assert "\x1b[" in text
    assert "ZeroDivisionError" in text
    assert SECRET not in text


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_that_repeats_itself_is_counted(written, form):
    formats.configure("debug", form)
    for _ in range(1_000):
        try:
            fail(SECRET)
        except ZeroDivisionError as error:
            by_logging(error)
            by_structlog(error)
    text = written()
    assert text.count("ZeroDivisionError: ") == REPEATS_MAX
    assert len(text) < 10_000


def test_how_often_a_fault_was_left_out_is_said_later(written, monkeypatch):
    now_ns = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns[0])
    formats.configure("info", "json")
    for at_ns in (*[0] * 10, 10**12):
        now_ns[0] = at_ns
        try:
            fail(SECRET)
        except ZeroDivisionError as error:
            by_logging(error)
    assert lines(written)[-1]["left_out"] == 10 - REPEATS_MAX


def test_our_own_lines_are_never_left_out(written):
    formats.configure("info", "json")
    for number in range(100):
        logging.getLogger("gateway.test").warning("Call %d ended.", number)
    assert len(lines(written)) == 100


def test_a_library_that_repeats_itself_is_left_out(written):
    formats.configure("info", "json")
    for _ in range(100):
        logging.getLogger("asyncio").warning("socket.send() raised exception.")
    assert len(lines(written)) == REPEATS_MAX


LIBRARIES = [
    "aiohttp.client",
    "aiosqlite",
    "alembic.runtime.migration",
    "asyncio",
    "asyncpg.pool",
    "httpcore.http11",
    "httpx",
    "redis.connection",
    "push_response",
    "sqlalchemy.engine.Engine",
    "sqlalchemy.pool",
    "stripe",
    "twilio.async_http_client",
    "uvicorn.error",
    "websockets.client",
    "one_that_is_added_later",
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("own_level", [logging.NOTSET, logging.DEBUG])
def test_a_librarys_parameters_are_in_no_line(written, monkeypatch, library, own_level):
    logger = logging.getLogger(library)
    monkeypatch.setattr(logger, "level", own_level)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    formats.configure("debug", "json")
    logger.debug("executing %s", SECRET)
    logger.info("executing %s", SECRET)
    assert written() == ""
    logger.error("It failed.")
    assert len(lines(written)) == 1


def test_what_clients_send_wrong_is_not_worth_a_line(written):
    formats.configure("debug", "json")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert written() == ""


def test_a_line_that_cannot_be_written_is_told_without_what_it_holds(written):
    formats.configure("info", "text")
    logging.getLogger("gateway.test").info("%d", SECRET)
    assert written() == "A log line of gateway.test could not be written.\n"
    formats.configure("info", "json")
    logging.getLogger("gateway.test").info("%d", SECRET)
    (line,) = lines(written)
    assert line["event"] == "A log line of gateway.test could not be written."


def test_a_long_line_is_cut(written):
    formats.configure("info", "json")
    logging.getLogger("asyncio").error("x" * 100_000)
    assert len(written()) < 2 * formats.EVENT_CHARACTERS_MAX


def test_the_loop_tells_a_callback_without_its_arguments(written):
    formats.configure("info", "json")

    async def work():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(formats.on_loop_error)
        loop.call_soon(fail, SECRET)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(work())
    (line,) = lines(written)
    assert line["report"] == "Exception in callback fail"
    assert "in fail" in line["exception"]


async def test_a_task_that_nobody_awaits_is_told_by_its_name(written):
    formats.configure("info", "json")
    asyncio.get_running_loop().set_exception_handler(formats.on_loop_error)

    async def work(secret):
        fail(secret)

    task = asyncio.create_task(work(SECRET), name="meter")
    await asyncio.wait([task])
    del task
    gc.collect()
    text = written()
    assert SECRET not in text
    assert json.loads(text)["task"] == "meter"


def test_a_level_that_is_changed_is_ours_alone(written):
    formats.configure("info", "json")
    ours, theirs = structlog.get_logger("gateway.test"), logging.getLogger("aiosqlite")
    late = "library.first.seen.at.debug"
    for level, seen in (("debug", ["debug", "info"]), ("warning", []), ("info", ["info"])):
        formats.set_level(level)
        ours.debug("said")
        ours.info("said")
        # Libraries log their parameters below a warning: numbers, addresses, keys.
        for name in ("aiosqlite", "httpx", "redis", "uvicorn", late):
            logging.getLogger(name).info(SECRET)
            logging.getLogger(name).debug(SECRET)
        text = written()
        assert SECRET not in text
        assert [json.loads(line)["level"] for line in text.splitlines()] == seen
    theirs.warning("it is slow")
    assert "it is slow" in written()
