"""What a process and its hasher of passwords send each other is read as it was written."""

import pytest

from gateway.people.password_wire import (
    ANSWER,
    REQUEST,
    Outcome,
    Task,
    answer,
    context_read,
    context_sent,
    request,
)

LARGEST = b"x" * 0xFFFF


def test_a_request_says_how_long_its_texts_are():
    for stored, password in ((b"", b""), (b"$argon2id$", "pässword".encode()), (LARGEST, LARGEST)):
        sent = request(0xFFFFFFFF, Task.VERIFY, stored, password)
        number, task, *sizes = REQUEST.unpack(sent[: REQUEST.size])
        assert (number, Task(task), sizes) == (
            0xFFFFFFFF,
            Task.VERIFY,
            [len(stored), len(password)],
        )
        assert sent[REQUEST.size :] == stored + password


def test_an_answer_has_a_text_only_where_there_is_one():
    assert answer(7, Outcome.NO) == ANSWER.pack(7, Outcome.NO, 0)
    assert answer(7, Outcome.YES, b"hash") == ANSWER.pack(7, Outcome.YES, 4) + b"hash"


@pytest.mark.parametrize("texts", [("ada@example.com", "Caller"), ("", ""), ("\ud800", "Ünïcode")])
def test_what_a_password_must_not_be_is_read_as_it_was_sent(texts):
    assert tuple(context_read(context_sent(texts))) == texts
