"""The operator's check of persons: fails closed, whatever it does."""

import asyncio
import sys
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.buttons import human_check
from gateway.buttons.human_check import AT_ONCE_MAX, TIMEOUT_S, HumanCheck, HumanRequest, load
from gateway.errors import RequestRefusedError, SettingsError

ASKED = HumanRequest("pk_live_x", "192.0.2.1")


def check(answers):
    """Return a check whose answers are these; what is an error is raised."""

    async def verify(_request, response):
        answer = answers[response]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return HumanCheck(verify)


async def refusal(asked):
    with pytest.raises(RequestRefusedError) as refused:
        await asked
    return refused.value.code


async def test_who_is_confirmed_goes_on():
    heard = []

    async def verify(request, response):
        heard.append((request, response))
        return True

    await HumanCheck(verify).require("r", ASKED)
    assert heard == [(ASKED, "r")]


@pytest.mark.parametrize("answer", [False, None, "yes", 1])
async def test_whatever_is_no_yes_is_a_no(answer):
    assert await refusal(check({"r": answer}).require("r", ASKED)) == "human_check_failed"


async def test_a_page_that_brings_nothing_is_not_asked_about():
    assert await refusal(check({}).require("", ASKED)) == "human_check_failed"


async def test_a_check_that_fails_says_no_and_no_secret():
    secret = "secret of the operator and response r"
    with capture_logs() as lines:
        asked = check({"r": ValueError(secret)}).require("r", ASKED)
        assert await refusal(asked) == "human_check_unavailable"
    assert [line["kind"] for line in lines] == ["ValueError"]
    assert "secret" not in str(lines)


async def test_a_check_that_hangs_is_given_up_and_holds_no_more_than_a_few(monkeypatch):
    hanging = asyncio.Event()

    async def verify(_request, _response):
        await hanging.wait()
        return True

    monkeypatch.setattr(human_check, "AT_ONCE_MAX", 2)
    assert TIMEOUT_S <= 8, "the frame waits no longer for a token"
    one = HumanCheck(verify)
    waiting = [asyncio.ensure_future(one.require("r", ASKED)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await refusal(one.require("r", ASKED)) == "human_check_unavailable"
    hanging.set()
    await asyncio.gather(*waiting)
    await one.require("r", ASKED)
    hanging.clear()
    monkeypatch.setattr(human_check, "TIMEOUT_S", 0.01)
    assert await refusal(one.require("r", ASKED)) == "human_check_unavailable"
    assert AT_ONCE_MAX > 2


async def test_the_operators_function_is_found_by_its_name(monkeypatch):
    async def verify(_request, _response):
        return True

    module = SimpleNamespace(verify=verify, sync=lambda _request, _response: True)
    monkeypatch.setitem(sys.modules, "operators_check", module)
    await load("operators_check:verify").require("r", ASKED)
    assert load("") is None
    for wrong in ("operators_check:sync", "operators_check:none", "no_such_module_here:verify"):
        with pytest.raises(SettingsError, match="CALLER_HUMAN_CHECK"):
            load(wrong)
