"""Passwords: how long they may be, and how many guesses they must take."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching

from accounts import password as module
from accounts.errors import PasswordError
from accounts.password import (
    LENGTH_MAX,
    LENGTH_MIN,
    TYPED_MAX,
    check_password,
    context_words,
    normalise,
)

CONTEXT = ("Alice.Smithers@Example.com", "Caller")


def refused(password: str, context: tuple[str, ...] = ()) -> str:
    with pytest.raises(PasswordError) as caught:
        check_password(password, context)
    return caught.value.code


@pytest.mark.parametrize(
    "password",
    [
        "kR7#mQ2x",  # eight characters by chance
        "x9fk2mqz",
        "correct horse battery staple",
        "mydogisbrown",
        "горячий чай с лимоном",
        "パスワードは秘密です",
        "🦊🐢🐙🦉🦔🐝🦋🐳",
        "vjw0ezhLQu" * 10 + "x" * 28,
        "kR7#\x00mQ2x",
        "kR7#\ud800mQ2x",
    ],
)
def test_a_password_that_takes_many_guesses_is_accepted(password):
    check_password(password, CONTEXT)


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "12345678901234567890",
        "qwertyuiop",
        "Liverpool1",
        "Summer2026!",
        "Football99",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "hunter2hunter2",
        "a" * LENGTH_MAX,
        "1" * 40 + "kR7#mQ2x",  # judged by its beginning
    ],
)
def test_a_password_that_is_guessed_soon_is_refused(password):
    assert refused(password) == "password_guessable"


@pytest.mark.parametrize(
    "password",
    [
        "alice.smithers",
        "Alice.Smithers@Example.com",
        "smithers2026",
        "5m1thers!",
        "srehtims",
        "Caller2026",
        "callercaller",
    ],
)
def test_what_is_known_of_a_person_is_guessed_first(password):
    assert refused(password, CONTEXT) == "password_guessable"


@pytest.mark.parametrize(
    "password",
    [
        "Example Calls",
        "EXAMPLECALLS",
        "example calls 2026",
        "3x4mpl3 C4ll5",
        "Éxample-Cälls",
        "e x a m p l e c a l l s",
        "12345ExampleCalls98765",
        "examplecallsexamplecalls",
        "sllacelpmaxe",
        "Ex@mple-C@!!s!",
        "myExampleCalls",
        "3xample_c@11s_2027",
        "ｅxampleCalls7",
        "\u200bexample\u200bcalls",
        "eXaMpLe.CaLlS...",
        "2027.5LL4C.3LPM4X3",
    ],
)
def test_the_name_of_the_service_is_no_password_however_it_is_written(password):
    assert refused(password, ("ada@mail.example", "Example Calls")) == "password_guessable"


@pytest.mark.parametrize(
    "password",
    [
        "correct-zebra-tram-92",
        "violin under seven lakes",
        "calls horse battery staple",
        "xk!example#92vbnQz",
    ],
)
def test_a_password_that_only_has_a_word_of_the_name_in_it_is_one(password):
    check_password(password, ("ada@mail.example", "Example Calls"))


def test_a_long_address_is_no_password_of_its_holder():
    address = "maximiliane.wolkenstein-trostburg@quittenbaum-verlag.example.com"
    check_password(address)
    assert refused(address, (address,)) == "password_guessable"


def test_ones_own_words_are_nobody_elses():
    password = "Ueberlingen.Wolkenstein"
    assert refused(password, (password,)) == "password_guessable"
    check_password(password, CONTEXT)
    assert "user_inputs" not in matching.RANKED_DICTIONARIES


def test_words_of_a_context_are_its_texts_and_their_parts():
    words = context_words(*CONTEXT)
    assert words == (
        "alice.smithers@example.com",
        "caller",
        "alice.smithers",
        "alice",
        "smithers",
        "example",
        "com",
    )
    assert set(context_words(*words)) == set(words)
    assert len(context_words(*(f"word{n}" for n in range(1_000)))) == 64
    assert context_words("", "ab", "x" * 10_000) == ("x" * 32,)


def test_a_length_is_counted_in_characters_of_the_normal_form():
    assert refused("kR7#mQ2") == "password_short"
    # Eight code points as they are typed, seven in the normal form.
    assert refused("kR7#mQ" + "e\u0301") == "password_short"
    assert refused("") == "password_short"
    longest = "vjw0ezhLQu" + "éàüôñ" * 23 + "éàü"
    check_password(unicodedata.normalize("NFD", longest))
    decomposed = unicodedata.normalize("NFD", "éàüôñ" * 25 + "éàü")
    assert len(decomposed) == 2 * LENGTH_MAX
    assert refused(decomposed + "e") == "password_long"
    assert refused("x" * (LENGTH_MAX + 1)) == "password_long"
    assert refused("e\u0301" * TYPED_MAX) == "password_long"


@given(st.text(max_size=40))
def test_two_forms_of_a_text_are_one_password(text):
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(text)
    assert normalise(normalise(text)) == normalise(text)


def test_case_spaces_and_full_width_make_another_password():
    texts = ["secret word", "Secret word", "secret  word", " secret word", "ｓecret word"]
    assert len({normalise(text) for text in texts}) == len(texts)


@given(st.text(max_size=130), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_is_judged(text, context):
    code = ""
    try:
        check_password(text, context)
    except PasswordError as error:
        code = error.code
    length = len(normalise(text))
    assert (code == "password_short") == (length < LENGTH_MIN)
    assert (code == "password_long") == (length > LENGTH_MAX)


def test_symbols_that_can_be_read_in_many_ways_do_not_hide_eight_characters():
    symbols = {symbol for each in matching.L33T_TABLE.values() for symbol in each}
    most = max(
        module._choices("".join(eight), matching.L33T_TABLE)
        for eight in itertools.combinations(sorted(symbols), 8)
    )
    assert most == 54 <= module._CHOICES_MAX


def test_what_is_made_to_take_long_is_cut(monkeypatch):
    seen = []
    judge = matching.omnimatch

    def noted(password, words):
        seen.append(password)
        return judge(password, words)

    monkeypatch.setattr(matching, "omnimatch", noted)
    check_password("4@8({[<369!1|7+$5%20" * 6)
    check_password("the quick brown fox jumps over the lazy dog")
    cut, long = seen[0], seen[-1]
    assert 8 <= len(cut) < 20
    assert module._choices(cut, matching.L33T_TABLE) <= module._CHOICES_MAX
    assert len(long) == 32
