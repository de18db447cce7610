"""A secret is revealed by one method, and by nothing else."""

import copy
import json
import pickle

import msgspec
import pytest

from gateway.secret import Secret

TEXT = "hunter2"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: repr([secret, {"a": secret}]),
        lambda secret: str(ValueError(secret)),
    ],
)
def test_no_way_of_showing_shows_it(show):
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert "Secret(…)" in shown
    assert "Secret()" in show(Secret())


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps, msgspec.json.encode])
def test_it_is_not_written_anywhere(write):
    with pytest.raises(TypeError) as caught:
        write(Secret(TEXT))
    assert TEXT not in str(caught.value)


def test_it_is_what_it_was_made_of():
    assert Secret(TEXT).reveal() == TEXT
    assert bool(Secret(TEXT))
    assert not Secret()
    assert Secret(TEXT) == Secret(TEXT) != Secret()
    assert len({Secret(TEXT), Secret(TEXT), Secret("ü")}) == 2
    assert Secret(TEXT) != TEXT
    assert copy.deepcopy([Secret(TEXT)]) == [Secret(TEXT)]
    assert copy.copy(Secret(TEXT)).reveal() == TEXT


def test_it_has_no_other_attributes():
    assert not hasattr(Secret(TEXT), "__dict__")
