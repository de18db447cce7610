"""Log lines: ours and the libraries', for people or for machines, and each once."""

import json
import logging

import pytest
import structlog

from gateway import logs


@pytest.fixture
def written(capsys):
    """Return what was written to standard error; logging is put back as it was afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(written):
    return [json.loads(line) for line in written().splitlines()]


def test_machines_get_one_object_a_line(written):
    logs.configure("info", "json")
    logging.getLogger("gateway.test").warning("Call %s ended.", "c1")
    structlog.get_logger("billing.test").info("drained", entries=3)
    ours, theirs = lines(written)
    assert (ours["event"], ours["level"], ours["logger"]) == (
        *("Call c1 ended.", "warning"),
        "gateway.test",
    )
    assert (theirs["event"], theirs["entries"]) == ("drained", 3)
    assert ours["timestamp"].endswith("Z")


def test_a_fault_is_one_line_for_machines(written):
    logs.configure("info", "json")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("gateway.test").exception("It failed.")
    (line,) = lines(written)
    assert "Traceback" in line["exception"]


def test_people_get_plain_text_where_nobody_looks(written):
    logs.configure("info", "text")
    logging.getLogger("gateway.test").info("The credit store is back.")
    text = written()
    assert "The credit store is back." in text
    assert "\x1b[" not in text


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_less_severe_lines_are_left_out(written, level):
    logs.configure(level, "json")
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("gateway.test"), name)(name)
    severities = ["debug", "info", "warning", "error"]
    assert [line["event"] for line in lines(written)] == severities[severities.index(level) :]


def test_chatty_libraries_are_quiet(written):
    logs.configure("info", "json")
    for name in ("uvicorn", "uvicorn.error", "alembic.runtime.migration"):
        logging.getLogger(name).info("chatter")
    assert written() == ""


def test_configuring_twice_writes_once(written):
    logs.configure("info", "json")
    logs.configure("info", "json")
    logging.getLogger("gateway.test").info("once")
    assert len(lines(written)) == 1
