"""Publishable keys: the same bytes make the same one, and nothing else reads as one."""

import pytest

from gateway.embed.keys import BYTES, KEY_CHARS, KeyMode, mode_of, publishable_key


def test_a_key_says_its_mode_and_nothing_of_its_owner():
    for mode in KeyMode:
        key = publishable_key(mode, bytes(range(BYTES)))
        assert key.startswith(f"pk_{mode}_")
        assert len(key) == len(f"pk_{mode}_") + KEY_CHARS
        assert mode_of(key) is mode
        assert key == publishable_key(mode, bytes(range(BYTES)))
    assert publishable_key(KeyMode.LIVE, bytes(BYTES)) != publishable_key(
        KeyMode.LIVE, b"\1" * BYTES
    )


LIVE = publishable_key(KeyMode.LIVE, bytes(BYTES))


@pytest.mark.parametrize(
    "text",
    ["", "ck_abc", LIVE[:-1], LIVE + "0", LIVE.upper(), LIVE.replace("live", "both"), LIVE + "\n"],
)
def test_other_texts_are_no_keys(text):
    assert mode_of(text) is None
