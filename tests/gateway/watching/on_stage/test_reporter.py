"""What a node says of its calls: each that has changed, once, whole, and a bounded part of them."""

import pytest

from gateway.watching import reporter as reporter_module
from gateway.watching.board import Board
from gateway.watching.reporter import CHANGED_MAX, Reporter
from gateway.watching.rows import (
    BATCH_BYTES_MAX,
    COUNTED_BYTES_MAX,
    ROWS_MAX,
    Batch,
    decode,
    encode,
)
from tests.gateway.watching.played import AT, SOUND, row_of


class Call:
    """What a reporter holds of a call: its id, and a row that is taken when it speaks."""

    def __init__(self, call_id, sound=None):
        self.call_id, self.sound, self.seconds = call_id, sound, 0


@pytest.fixture
def many(monkeypatch):
    """Let calls be as many as a test needs."""
    monkeypatch.setattr(
        reporter_module,
        "row_of",
        lambda call: (row_of(call.call_id, seconds=call.seconds), call.sound),
    )


def said(reporter):
    return [decode(text) for text in reporter.batches()]


async def test_a_real_call_is_told_with_each_change_and_each_second(stage):
    reporter, board = Reporter("n1"), Board()
    stage.changed = Notes(reporter)
    call = await stage.call().answered()
    (batch,) = said(reporter)
    (row,) = batch.calls
    assert (batch.node, row.node, row.id, row.state) == ("n1", "n1", "c1", "answered")
    assert said(reporter) == []
    await stage.run(1.5)
    (batch,) = said(reporter)
    board.apply(batch, 0, AT)
    assert board.row("c1").state == "answered", "the board takes it"
    assert batch.sounds.keys() == {"c1"}
    call.says(type="hangup")
    await stage.ended(call)
    (batch,) = said(reporter)
    assert [each.state for each in batch.calls] == ["ended"]
    await stage.run(3)
    assert said(reporter) == [], "of a call that is over nothing more is said"


class Notes(list):
    """`Stage.changed`, of which a reporter is told."""

    def __init__(self, reporter):
        super().__init__()
        self.append = reporter.note


@pytest.mark.usefixtures("many")
def test_a_call_that_changes_often_is_told_once_as_it_is_then():
    reporter, call = Reporter("n1"), Call("c1")
    for call.seconds in range(9):
        reporter.note(call)
    (batch,) = said(reporter)
    assert [row.seconds for row in batch.calls] == [8]


@pytest.mark.usefixtures("many")
def test_many_calls_are_told_in_batches_that_are_taken():
    reporter = Reporter("n1")
    for n in range(1001):
        reporter.note(Call(f"c{n}", SOUND if n % 3 == 0 else None))
    texts = reporter.batches()
    assert max(map(len, texts)) <= COUNTED_BYTES_MAX
    batches = [decode(text) for text in texts]
    assert [len(batch.calls) for batch in batches] == [20] * 50 + [1]
    ids = [row.id for batch in batches for row in batch.calls]
    assert ids == [f"c{n}" for n in range(1001)]
    for batch in batches:
        ours = {row.id for row in batch.calls if int(row.id[1:]) % 3 == 0}
        assert batch.sounds.keys() == ours, "each sound beside its row"


@pytest.mark.usefixtures("many")
def test_while_nothing_can_be_said_no_more_is_kept_than_may_be():
    reporter = Reporter("n1")
    calls = [Call(f"c{n}") for n in range(CHANGED_MAX + 9)]
    for call in calls:
        reporter.note(call)
    calls[0].seconds = 7
    reporter.note(calls[0])
    batches = said(reporter)
    assert sum(len(batch.calls) for batch in batches) == CHANGED_MAX
    assert batches[0].calls[0].seconds == 7
    assert said(reporter) == []
    reporter.note(calls[-1])
    assert [row.id for row in said(reporter)[0].calls] == [calls[-1].call_id]


def longest(call_id="call_" + "x" * 40):
    return row_of(
        call_id,
        "account_" + "x" * 40,
        node="n" * 64,
        key_id="k" * 64,
        origin="https://" + "o" * 245,
        destination="+" + "9" * 15,
        created_at=AT.replace(microsecond=123456),
        tags=("high_jitter", "high_latency", "high_packet_loss", "high_pdd", "silence"),
        **dict.fromkeys(("mos", "rtt_ms", "jitter_ms", "loss_percent"), 1.2345678901234567),
    )


def test_of_long_rows_fewer_go_into_a_message(monkeypatch):
    monkeypatch.setattr(reporter_module, "row_of", lambda call: (longest(call.call_id), SOUND))
    reporter = Reporter("n" * 64)
    for n in range(100):
        reporter.note(Call(f"c{n}"))
    texts = reporter.batches()
    assert max(map(len, texts)) <= COUNTED_BYTES_MAX
    batches = [decode(text) for text in texts]
    assert [row.id for batch in batches for row in batch.calls] == [f"c{n}" for n in range(100)]
    assert all(batch.sounds.keys() == {row.id for row in batch.calls} for batch in batches)


def test_a_row_that_is_too_long_is_said_all_the_same(monkeypatch):
    row = row_of("c1", origin="o" * COUNTED_BYTES_MAX)
    monkeypatch.setattr(reporter_module, "row_of", lambda _call: (row, None))
    reporter = Reporter("n1")
    reporter.note(Call("c1"))
    assert len(reporter.batches()) == 1


def test_a_full_batch_of_long_rows_is_one_that_is_taken():
    """What a node says must fit into what others take."""
    rows = [longest()] * ROWS_MAX
    sounds = {f"{rows[0].id}{n}": SOUND for n in range(ROWS_MAX)}
    batch = Batch(node=rows[0].node, calls=rows, sounds=sounds)
    assert len(encode(batch)) < BATCH_BYTES_MAX
    assert len(decode(encode(batch)).calls) == ROWS_MAX
