"""Recovery codes: made of chance, written to be read, read however they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.second_factor import (
    CHANCE_BYTES,
    CODE_BYTES,
    code_digest,
    make_codes,
    normalise_code,
)

CHANCE = bytes(range(CHANCE_BYTES))


def test_ten_codes_of_six_groups_are_made():
    codes = make_codes(CHANCE)
    assert len(set(codes)) == 10
    assert codes[0] == "000G-40R4-0M30-E209-185G-R38E"
    for code in codes:
        assert [len(group) for group in code.split("-")] == [4] * 6
        assert not set(code) & set("ILOU")


def test_the_first_and_the_last_code_there_can_be():
    first, *_, last = make_codes(bytes(CODE_BYTES) + b"\xff" * (CHANCE_BYTES - CODE_BYTES))
    assert set(first) == {"0", "-"}
    assert set(last) == {"Z", "-"}


@given(st.binary(min_size=CHANCE_BYTES, max_size=CHANCE_BYTES))
def test_no_bit_of_chance_is_lost(chance):
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    read = b"".join(
        sum(
            alphabet.index(each) << 5 * place for place, each in enumerate(reversed(code))
        ).to_bytes(CODE_BYTES)
        for code in map(normalise_code, make_codes(chance))
    )
    assert read == chance


@pytest.mark.parametrize("size", [0, CHANCE_BYTES - 1, CHANCE_BYTES + 1])
def test_chance_that_is_not_ten_codes_long_makes_none(size):
    with pytest.raises(ValueError, match="150 random bytes"):
        make_codes(bytes(size))


@pytest.mark.parametrize(
    "typed",
    [
        "7K3M-9QXT-2H8V-D4NB-W6RC-1001",
        "7k3m9qxt2h8vd4nbw6rc1001",
        " 7K3M 9QXT\t2H8V D4NB W6RC 1001\n",
        "7K3M–9QXT—2H8V‑D4NB-W6RC-1001",
        "7K3M-9QXT-2H8V-D4NB-W6RC-IOoL",
        "7K3M-9QXT-2H8V-D4NB-W6RC-i0Ol",
        "７Ｋ３Ｍ-9QXT-2H8V-D4NB-W6RC-1001",
    ],
)
def test_a_code_is_read_as_people_type_it(typed):
    assert normalise_code(typed) == "7K3M9QXT2H8VD4NBW6RC1001"
    assert code_digest(typed) == code_digest("7K3M9QXT2H8VD4NBW6RC1001") != ""


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "123456",
        "7K3M-9QXT-2H8V-D4NB-W6RC-100",
        "7K3M-9QXT-2H8V-D4NB-W6RC-10011",
        "7K3M-9QXT-2H8V-D4NB-W6RC-100U",
        "7K3M_9QXT_2H8V_D4NB_W6RC_1001",
        "\ud800" * 24,
        " " * 200 + "7K3M9QXT2H8VD4NBW6RC1001",
        "٠" * 24,
    ],
)
def test_what_can_be_no_code_has_no_digest(typed):
    assert normalise_code(typed) == ""
    assert code_digest(typed) == ""


@given(st.text(max_size=60))
def test_any_text_is_read(text):
    code = normalise_code(text)
    assert normalise_code(code) == code
    assert len(code) in (0, 24)
    assert len(code_digest(text)) == (64 if code else 0)


def test_digests_tell_codes_apart():
    codes = make_codes(CHANCE)
    assert len({code_digest(code) for code in codes}) == 10
    assert not any(code in code_digest(code).upper() for code in codes)
