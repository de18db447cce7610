"""Which visitors' calls are let in, what is spent for them, and what their order says."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from billing.spend_limits import Budget, Period, SpendLimits
from database.errors import StoreUnavailableError
from gateway.buttons.admission import ButtonAdmission, ButtonPhase, SignedCall, Visit, VisitorProof
from gateway.buttons.ports import SolutionVerdict, VisitorDigests
from gateway.buttons.visitor import named_digest
from gateway.embed.found_button import FoundButton
from gateway.embed.hours import OpeningHours, Span
from gateway.embed.keys import KeyMode
from gateway.embed.rules import ButtonRules, CallAllowance
from gateway.errors import RequestRefusedError, TooFastError
from gateway.limits.velocity import Use
from tests.gateway.buttons.on_stage.test_ended_buttons import Eras
from tests.gateway.buttons.on_stage.test_human_check import check
from tests.gateway.calls.test_admission import ADDRESS, AT, ECHO, OPEN, PAGE, Desk
from tests.gateway.http.test_bearer import Account
from tests.gateway.stage import CENT, stage

__all__ = ["stage"]

UK = "+442079460018"
RULES = ButtonRules(
    title="Sales", destination=ECHO, seconds_max=90, amounts=CallAllowance(visitor_hour=3)
)
BUTTON = FoundButton(
    "b1",
    "alice",
    "k1",
    KeyMode.LIVE,
    RULES,
    is_paused=False,
    key="pk_live_" + "a" * 24,
    ends_at=None,
)
SHUT = OpeningHours(week=((),) * 7)


class Challenges:
    """`buttons.ports.Challenges` that finds what the test says."""

    def __init__(self):
        self.spent, self.finds, self.named = [], SolutionVerdict.RIGHT, []

    async def spend(self, *what):
        self.spent.append(what)
        return self.finds

    async def visitor(self, button_id, address):
        self.named.append(button_id)
        return VisitorDigests(f"v of {address}", f"n of {address}")


class Keys:
    """`embed.found_button.ButtonKeys` in memory."""

    def __init__(self, *button):
        self.known = {each.key: each for each in button}

    async def by_key(self, key):
        return self.known.get(key)


class Doorstep:
    """A button of alice's, on the node of the admission's tests."""

    def __init__(self, stage):
        self.desk = Desk(stage)
        self.challenges = Challenges()
        self.eras, self.visitor_refused, self.keys = Eras(), [], Keys(BUTTON)
        self.humans = None
        self.gate = stage.gate
        self.button, self.account = BUTTON, Account()

    @property
    def admission(self):
        return ButtonAdmission(
            self.desk.admission,
            self.challenges,
            self.gate,
            self.eras,
            self.keys,
            self.humans,
            visitor_refused=lambda *told: self.visitor_refused.append(told),
            utc_now=lambda: AT,
        )

    def rules(self, **changes):
        rules = msgspec.structs.replace(self.button.rules, **changes)
        self.button = replace(self.button, rules=rules)

    @property
    def visit(self):
        return Visit(self.button, self.account, "e1", ADDRESS)

    async def admit(self, origin=PAGE):
        return await self.admission.admit(self.visit, VisitorProof("solution", "response"), origin)

    async def sign(self, destination="", visitor="v-7", codec="pcmu"):
        call = SignedCall(destination, visitor, codec, "", "k2")
        return await self.admission.admit_signed(self.visit, call)

    async def phase(self):
        return await self.admission.phase(self.visit)

    def order(self, ticket):
        return self.desk.tokens.orders[ticket.token]

    @property
    def hit(self):
        return [use.limit for use in self.desk.velocity.used]


@pytest.fixture
def door(stage):
    return Doorstep(stage)


async def refused(asked):
    with pytest.raises(RequestRefusedError) as refusal:
        await asked
    return refusal.value


async def test_a_visitors_order_says_what_holds_and_whom_it_hides(door):
    order = door.order(await door.admit())
    assert (order.destination, order.origin, order.key_id) == (ECHO, PAGE, "k1")
    terms = order.visitor
    assert (terms.button_id, terms.seconds_max, terms.calls_max) == ("b1", 90, 2)
    assert terms.key == BUTTON.key
    assert not terms.is_signed
    assert not order.is_check
    assert door.challenges.spent == [(BUTTON.key, ADDRESS, "solution")]
    assert (terms.visitor, terms.network) == (f"v of {ADDRESS}", f"n of {ADDRESS}")
    assert terms.amounts == RULES.amounts


async def test_a_token_counts_as_a_token_and_not_as_a_call(door):
    await door.admit()
    assert door.desk.velocity.used == [
        Use("visitor_button_tokens_minute", f"v of {ADDRESS}", 3),
        Use("visitor_button_tokens_hour", f"v of {ADDRESS}", 12),
        Use("network_button_tokens_hour", f"n of {ADDRESS}", 80),
    ]
    assert door.desk.velocity.looked[:6] == [
        Use("visitor_button_calls_hour", f"v of {ADDRESS}", 3),
        Use("visitor_button_calls_day", f"v of {ADDRESS}", 9),
        Use("network_button_calls_hour", f"n of {ADDRESS}", 20),
        Use("network_button_calls_day", f"n of {ADDRESS}", 60),
        Use("button_calls_hour", "b1", 100),
        Use("button_calls_day", "b1", 500),
    ]


async def test_amounts_are_the_buttons_and_looked_at_before_anything_is_priced(door):
    door.desk.velocity.refuses = {"visitor_button_tokens_minute": 30}
    error = await refused(door.admit())
    assert isinstance(error, TooFastError)
    assert (error.code, error.retry_after_s) == ("button_limited", 30)
    # Who asks too often uses up nothing of their network.
    assert door.hit == ["visitor_button_tokens_minute", "visitor_button_tokens_hour"]
    door.desk.velocity.refuses = {"button_calls_day": 60}
    assert (await refused(door.admit())).code == "button_limited"
    assert door.desk.refused == []
    assert door.desk.tokens.orders == {}


async def test_calls_of_a_test_key_use_up_nobodys(door):
    door.button = replace(door.button, mode=KeyMode.TEST)
    door.desk.velocity.refuses = {"button_calls_hour": 60}
    order = door.order(await door.admit())
    assert door.challenges.named == ["b1 test"]
    assert order.visitor.visitor == f"v of {ADDRESS}"
    order = door.order(await door.sign())
    assert order.visitor.visitor == named_digest("b1 test", "v-7")


@pytest.mark.parametrize(
    ("found", "code"),
    [(SolutionVerdict.WRONG, "challenge_wrong"), (SolutionVerdict.USED, "challenge_used")],
)
async def test_without_work_nothing_is_spent(door, found, code):
    door.challenges.finds = found
    assert (await refused(door.admit())).code == code
    assert door.hit == []


async def test_a_button_that_takes_no_calls_says_so_before_all_else(door):
    door.rules(hours=SHUT)
    error = await refused(door.admit())
    assert (error.code, error.opens_at) == ("button_closed", None)
    door.rules(hours=OpeningHours(week=((Span(780, 840),),) * 7))
    opens_at = datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert (await refused(door.admit())).opens_at == opens_at
    assert await door.phase() == (ButtonPhase.CLOSED, opens_at)
    door.button = replace(door.button, is_paused=True)
    assert (await refused(door.admit())).code == "button_paused"
    assert await door.phase() == (ButtonPhase.PAUSED, None)
    door.button = BUTTON
    door.desk.node = None
    assert (await refused(door.admit())).code == "gateway_draining"
    assert door.challenges.spent == []


async def test_what_is_the_owners_alone_is_not_told(door, stage):
    async def told(**account):
        door.account = Account(**account)
        return (await refused(door.admit())).code

    assert await told(is_unproven=True) == "button_unavailable"
    assert door.desk.refused.pop() == ("alice", "address_unproven")
    assert await told(frozen=True) == "button_unavailable"
    # To the owner it is what it is.
    assert door.desk.refused == [("alice", "account_frozen")]
    assert await told(id="penniless") == "button_unavailable"
    door.rules(destination="+33142685300")
    assert await told() == "button_unavailable"
    door.rules(destination=ECHO)
    day = SpendLimits(None, (Budget("key:k1", Period.DAY, CENT // 10),))
    assert await told(limits=day) == "budget_reached"
    door.desk.velocity.refuses = {"account_calls_hour": 9}
    assert await told() == "button_limited"


async def test_phases(door):
    assert await door.phase() == (ButtonPhase.OPEN, None)
    for account in (Account(frozen=True), Account(is_unproven=True)):
        door.account = account
        assert await door.phase() == (ButtonPhase.UNAVAILABLE, None)
    door.account = Account(id="penniless")
    assert await door.phase() == (ButtonPhase.UNAVAILABLE, None)
    # An echo costs nothing.
    door.button = replace(door.button, mode=KeyMode.TEST)
    assert await door.phase() == (ButtonPhase.OPEN, None)


async def test_lines_that_are_all_in_use_are_busy(door, stage):
    door.rules(calls_at_once=1)
    part = stage.gate._of("alice")
    part.calls["c0"] = replace(OPEN, key_id="k1")
    assert (await refused(door.admit())).code == "button_busy"
    part.calls["c0"] = replace(OPEN, key_id="k2")
    assert await door.admit()


async def test_a_test_key_orders_an_echo(door):
    door.button = replace(door.button, mode=KeyMode.TEST)
    for ticket in (await door.admit(), await door.sign()):
        order = door.order(ticket)
        assert (order.is_check, order.destination, order.rate) == (True, "", "")
        assert order.visitor.seconds_max == 90
    for account in (Account(frozen=True), Account(is_unproven=True)):
        door.account = account
        assert (await refused(door.admit())).code == "button_unavailable"


async def test_a_number_is_signed_by_the_owner_alone(door):
    assert (await refused(door.sign(UK))).field == "destination"
    door.rules(destination="")
    # A visitor without the owner's word has no number to call.
    assert (await refused(door.admit())).code == "bad_token"
    assert (await refused(door.sign())).field == "destination"
    door.desk.velocity.used.clear()
    order = door.order(await door.sign(UK, codec="pcm16"))
    assert (order.destination, order.codec) == (UK, "pcm16")
    assert (order.visitor.is_signed, order.visitor.signer_key_id) == (True, "k2")
    used = door.desk.velocity.used
    assert Use("visitor_button_tokens_hour", named_digest("b1", "v-7"), 12) in used
    # How a back end calls its visitors is nobody's to read.
    assert b"v-7" not in msgspec.json.encode(order)
    assert not [use for use in used if use.limit.startswith("network")]
    # Of any number that is not its own the outcomes of calls count.
    assert "account_short_calls_hour" in {use.limit for use in door.desk.velocity.looked}
    assert (await refused(door.sign(UK, codec="mp3"))).code == "codec_unknown"
    # A back end is told what any key is told.
    door.account = Account(frozen=True)
    assert (await refused(door.sign(UK))).code == "account_frozen"


async def test_a_token_is_shown_to_its_own_button_alone(door):
    ticket = await door.admit()
    shown = await door.admission.show(door.visit, ticket.token)
    assert (shown.token, shown.ttl_s, shown.media_url) == (ticket.token, 42, ticket.media_url)
    assert (await refused(door.admission.show(door.visit, "ct_none"))).code == "bad_token"
    other = replace(door.visit, button=replace(BUTTON, button_id="b2"))
    assert (await refused(door.admission.show(other, ticket.token))).code == "bad_token"
    _, own = await door.desk.admit()
    assert (await refused(door.admission.show(door.visit, own.token))).code == "bad_token"


async def test_a_token_of_a_key_that_was_turned_is_shown_to_no_other_once_that_has_ended(door):
    ticket = await door.admit()
    turned = replace(door.visit, button=replace(BUTTON, key="pk_live_" + "b" * 24))
    assert (await door.admission.show(turned, ticket.token)).token == ticket.token
    del door.keys.known[BUTTON.key]
    assert (await refused(door.admission.show(turned, ticket.token))).code == "bad_token"


async def test_a_token_of_one_mode_is_not_shown_to_the_key_of_the_other(door):
    live, live_ticket = door.visit, await door.sign()
    door.button = replace(door.button, mode=KeyMode.TEST)
    test, test_ticket = door.visit, await door.sign()
    assert (await refused(door.admission.show(test, live_ticket.token))).code == "bad_token"
    assert (await refused(door.admission.show(live, test_ticket.token))).code == "bad_token"
    assert (await door.admission.show(live, live_ticket.token)).token == live_ticket.token
    assert (await door.admission.show(test, test_ticket.token)).token == test_ticket.token


async def test_a_call_belongs_to_the_era_in_which_it_was_asked_for(door):
    assert door.order(await door.admit()).visitor.era == ""
    await door.eras.end("b1")
    assert door.order(await door.admit()).visitor.era == "era 1"
    door.rules(destination="")
    assert door.order(await door.sign(UK)).visitor.era == "era 1"
    door.eras.is_away = True
    with pytest.raises(StoreUnavailableError):
        await door.admit()


async def test_a_person_is_asked_for_once_the_work_is_done(door):
    door.humans = check({"response": False})
    assert (await refused(door.admit())).code == "human_check_failed"
    assert len(door.challenges.spent) == 1
    assert door.hit == []
    door.challenges.finds = SolutionVerdict.USED
    assert (await refused(door.admit())).code == "challenge_used"
    door.challenges.finds = SolutionVerdict.RIGHT
    door.humans = check({"response": True})
    assert await door.admit()
    # Whom the owner's back end sends has been looked at by it.
    door.humans = check({})
    assert await door.sign()


async def test_why_visitors_are_refused_is_told_as_to_their_owner(door):
    door.account = Account(id="penniless")
    assert (await refused(door.admit())).code == "button_unavailable"
    door.account = Account()
    door.rules(hours=SHUT)
    await refused(door.admit())
    await refused(door.sign())
    door.button = replace(door.button, mode=KeyMode.TEST)
    await refused(door.admit())
    assert door.visitor_refused == [
        ("b1", "insufficient_credit"),
        ("b1", "button_closed"),
        ("b1", "button_closed"),
    ]
