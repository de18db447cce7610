"""Scopes are stored as their names, and a name that is not known allows nothing."""

import pytest

from gateway import scopes
from gateway.scopes import LEAST, PAGE, Scope, are_apart


def test_the_least_is_enough_to_dial_and_the_page_reaches_one_account_only():
    assert frozenset({Scope.CALLS}) == LEAST
    assert set(Scope) - PAGE == {Scope.ADMIN, Scope.EMBED}


@pytest.mark.parametrize("held", [(), LEAST, PAGE, tuple(Scope), [Scope.ADMIN, Scope.CALLS]])
def test_what_is_stored_is_read_back(held):
    assert scopes.from_text(scopes.to_text(held)) == frozenset(held)


def test_names_come_in_one_order():
    assert scopes.to_text([Scope.ACCOUNT, Scope.CALLS]) == "calls account"


@pytest.mark.parametrize("text", ["", "everything", "CALLS", "calls,records", "*"])
def test_what_is_no_scope_allows_nothing(text):
    assert scopes.from_text(text) == frozenset()
    assert scopes.from_text(f"{text} records") == {Scope.RECORDS}


def test_what_an_operators_key_and_a_buttons_may_do_stands_apart():
    assert are_apart(())
    assert are_apart(PAGE)
    for alone in (Scope.ADMIN, Scope.EMBED):
        assert are_apart([alone])
        assert not are_apart([alone, Scope.ACCOUNT])
    assert not are_apart([Scope.ADMIN, Scope.EMBED])
