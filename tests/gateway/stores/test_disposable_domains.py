"""Domains of disposable addresses, by the list that is installed, which nobody imports."""

import sys

import pytest

from gateway.stores import disposable_domains
from gateway.stores.disposable_domains import is_disposable


@pytest.mark.parametrize(
    ("domain", "is_listed"),
    [
        ("10minutemail.com", True),
        ("10MinuteMail.com", True),
        ("anything.10minutemail.com", True),
        ("gmail.com", False),
        ("minutemail.com.example", False),
        ("com", False),
        ("", False),
    ],
)
async def test_a_domain_is_listed_with_all_below_it(domain, is_listed):
    assert await is_disposable(domain) is is_listed
    assert "disposable_email_domains" not in sys.modules


async def test_without_a_list_nothing_is_on_it(monkeypatch):
    monkeypatch.setattr(disposable_domains, "_PACKAGE", "no_such_package")
    assert not await is_disposable("10minutemail.com")
