"""Who may place a call: funds, caps, destinations, origins and velocity, on plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.ports import OpenCall, Opening
from billing.rate_deck import RateDeck
from billing.rating import Rate
from gateway.call.high_risk import ClosedList
from gateway.calls.admission import Admission, Buyer, CallRequest
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.calls.risk import Risk
from gateway.errors import RequestRefusedError, TooFastError
from gateway.limits.fraud import RULES, AccountFacts, Allowance, Policy
from gateway.limits.velocity import Use, call_uses, quote_uses, token_uses
from tests.gateway.calls.test_live import Tokens, Velocity
from tests.gateway.http.test_bearer import Account, Epochs
from tests.gateway.stage import CENT, CREDIT
from tests.limits import limits

ECHO = "+15005551000"
PAGE = "https://calls.example.com"
ADDRESS = "192.0.2.1"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy(frozenset({"US"}), new_card_days=7, new_card_day_micros=50 * CENT)
PERSON = {"has_holder": True, "key_id": ""}
WHO = ("alice", "k1", ADDRESS)
DECK = """prefix,description,country,rate_per_minute,connect_fee,first,next
1500,Test numbers,,0.60,0,1,1
44,United Kingdom,GB,1.20,0.05,60,6
"""


class Ledger:
    """Credits that are booked and that the spend gate has yet to see."""

    def __init__(self):
        self.credits = {}

    async def credits_after(self, account_id, sequence):
        return [(n, m) for n, m in self.credits.get(account_id, []) if n > sequence]


class RiskBook:
    """`gateway.calls.risk.RiskBook` in memory."""

    def __init__(self):
        self.kept, self.asked = AccountFacts(), 0

    async def standing(self, _account_id):
        self.asked += 1
        return self.kept


class Desk:
    """The admission of one node, asked by alice."""

    def __init__(self, stage, **changes):
        self.stage = stage
        self.tokens, self.velocity, self.ledger = Tokens(), Velocity(), Ledger()
        settings = stage.services(**changes).settings
        self.closed_destinations = ClosedDestinations(None, settings.open_high_risk)
        self.node: str | None = "n1"
        self.short, self.refused = [], []
        self.book = RiskBook()
        risk = Risk(POLICY, self.book, Epochs(), clock_ns=stage.clock_ns, utc_now=lambda: AT)
        self.admission = Admission(
            settings,
            tokens=self.tokens,
            velocity=self.velocity,
            gate=stage.gate,
            ledger=self.ledger,
            rates=RateDeck.from_csv(DECK),
            closed_destinations=self.closed_destinations,
            risk=risk,
            choose_node=lambda: self.node,
            on_refusal=lambda account_id, code: self.refused.append((account_id, code)),
            on_balance=lambda account_id, micros: self.short.append((account_id, micros)),
            utc_now=lambda: AT,
        )

    async def quote(self, number=ECHO, **account):
        return await self.admission.quote(buyer(**account), number)

    async def admit(self, number=ECHO, codec="pcmu", origin="", **account):
        request = CallRequest(number, codec, origin)
        return await self.admission.admit(buyer(**account), request)

    async def check(self, origin="", **account):
        return await self.admission.admit_check(buyer(**account), origin)


def buyer(**account):
    return Buyer(Account(**account), "e1", ADDRESS)


@pytest.fixture
def desk(stage):
    return Desk(stage)


async def refusal(asked):
    with pytest.raises(RequestRefusedError) as refused:
        await asked
    return refused.value.code


async def test_whoever_may_place_no_call_is_told_the_first_reason(desk):
    """A person must have proven their address."""
    waiting = replace(buyer(), is_proven=False)
    asked = [
        (replace(waiting, account=Account(frozen=True)), "account_frozen"),
        (replace(waiting, account=Account(frozen=True, is_restricted=True)), "account_restricted"),
        (waiting, "address_unproven"),
    ]
    request = CallRequest(ECHO, "pcmu", "")
    for who, code in asked:
        assert await refusal(desk.admission.admit(who, request)) == code
        assert await refusal(desk.admission.admit_check(who, "")) == code
    assert not desk.tokens.orders
    await desk.admission.admit(replace(waiting, is_proven=True), request)
    assert len(desk.tokens.orders) == 1


# Tokens.


async def test_the_order_holds_what_was_promised(desk):
    expires_at = AT + timedelta(days=1)
    quote, ticket = await desk.admit(
        "+44 20 7946-0018", "pcm16", PAGE, key_expires_at=expires_at, limits=limits(call=9 * CREDIT)
    )
    order = desk.tokens.orders[ticket.token]
    assert (order.account_id, order.destination, order.country) == (
        "alice",
        "+442079460018",
        "GB",
    )
    assert (order.codec, order.origin, order.currency) == ("pcm16", PAGE, "USD")
    assert Rate.from_json(order.rate).connect_fee_micros == 50_000
    assert order.rate_description == "United Kingdom"
    # Of the deck, and not of the number.
    assert order.prefix == "+44"
    assert (order.balance_micros, order.limits) == (CREDIT, limits(call=9 * CREDIT))
    assert (order.key_id, order.key_epoch, order.key_expires_at) == ("k1", "e1", expires_at)
    assert not order.is_check
    assert quote.rate == Rate.from_json(order.rate)
    assert (quote.order.destination, quote.balance_micros) == (order.destination, CREDIT)


async def test_a_ticket_says_how_long_and_where_it_is_good(desk):
    _, ticket = await desk.admit()
    assert (ticket.ttl_s, ticket.expires_at) == (60, AT + timedelta(seconds=60))
    assert ticket.media_url == "wss://calls.example.com/n/n1/media/browser"


async def test_a_check_costs_nothing_and_is_bound_like_a_call(desk):
    desk.stage.gate.fill(alice=0)
    ticket = await desk.check(PAGE)
    order = desk.tokens.orders[ticket.token]
    assert (order.is_check, order.origin, order.destination) == (True, PAGE, "")
    assert (order.key_id, order.key_epoch) == ("k1", "e1")
    assert await refusal(desk.check("https://evil.example")) == "bad_origin"
    assert await refusal(desk.check(frozen=True)) == "account_frozen"
    desk.node = None
    assert await refusal(desk.check()) == "gateway_draining"
    assert len(desk.tokens.orders) == 1


async def test_a_person_who_has_not_proven_their_address_places_no_call(desk):
    unproven = Buyer(Account("alice", key_id=""), "e1", ADDRESS, False, 1)
    for asked in (
        desk.admission.quote(unproven, ECHO),
        desk.admission.admit(unproven, CallRequest(ECHO, "pcmu", "")),
        desk.admission.admit_check(unproven, ""),
    ):
        assert await refusal(asked) == "address_unproven"
    assert desk.tokens.orders == {}


async def test_the_order_of_a_person_names_their_credentials_epoch(desk):
    person = Buyer(Account("alice", key_id=""), "e1", ADDRESS, True, 7)
    await desk.admission.admit(person, CallRequest(ECHO, "pcmu", ""))
    await desk.admission.admit_check(person, "")
    await desk.admit()
    epochs = [order.credentials_epoch for order in desk.tokens.orders.values()]
    assert epochs == [7, 7, None]


async def test_a_draining_node_quotes_and_admits_nobody(desk):
    desk.node = None
    assert await refusal(desk.admit()) == "gateway_draining"
    assert (await desk.quote()).affordable_s == 1000
    assert desk.tokens.orders == {}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"codec": "opus"}, "codec_unknown"),
        ({"frozen": True}, "account_frozen"),
        ({"number": "hello"}, "number_invalid"),
        ({"number": "+33123456789"}, "destination_not_priced"),
        ({"limits": limits(day=0)}, "cap_reached"),
        ({"origin": "https://evil.example"}, "bad_origin"),
    ],
)
async def test_what_is_refused_gets_no_token(desk, asked, code):
    assert await refusal(desk.admit(**asked)) == code
    assert desk.tokens.orders == {}


# Funds and caps.


async def test_credit_must_reach_the_first_increment(desk):
    desk.stage.gate.fill(alice=CENT - 1)
    assert await refusal(desk.admit()) == "insufficient_credit"
    assert desk.short == [("alice", CENT - 1)]
    desk.stage.gate.fill(alice=CENT)
    await desk.admit()
    assert len(desk.short) == 1


async def test_a_credit_that_was_just_booked_counts(desk):
    desk.stage.gate.fill(alice=0)
    desk.ledger.credits["alice"] = [(2, CREDIT)]
    await desk.admit()
    assert desk.stage.balance() == CREDIT


async def test_a_quote_says_what_limits_the_call(stage):
    desk = Desk(stage, call_duration_max_s=600)

    async def limit(micros, **caps):
        stage.gate.fill(alice=micros)
        quote = await desk.quote(limits=limits(**caps))
        return quote.affordable_s, quote.limited_by

    assert await limit(50 * CENT) == (50, "credit")
    assert await limit(1000 * CENT) == (600, "duration")
    assert await limit(50 * CENT, call=20 * CENT) == (20, "cap")
    assert await limit(50 * CENT, day=30 * CENT) == (30, "cap")
    assert await limit(1000 * CENT, call=900 * CENT) == (600, "duration")


@pytest.mark.parametrize(
    ("caps", "seconds"),
    [
        ({"call": 30 * CENT + 1}, 30),
        ({"day": 50 * CENT}, 40),
        ({"month": 60 * CENT, "day": 70 * CENT}, 50),
        ({"key_day": 20 * CENT}, 20),
        ({"day": 50 * CENT, "call": 25 * CENT}, 25),
        ({"day": 10**12}, 990),
    ],
)
async def test_what_is_affordable_honours_the_caps(desk, caps, seconds):
    """Ten cents have been spent already, by another key."""
    spent = limits(day=CREDIT, month=CREDIT, key_id="another", key_day=CREDIT).caps(AT)
    opening = Opening("c0", "alice", "n1", CENT, 10 * CENT, 9, b"{}", caps=spent)
    await desk.stage.gate.open(opening)
    quote, ticket = await desk.admit(limits=limits(**caps))
    assert quote.affordable_s == seconds
    order = desk.tokens.orders[ticket.token]
    assert order.limits == limits(**caps)
    assert order.key_id == "k1"
    assert quote.balance_micros == CREDIT - 10 * CENT
    assert await desk.stage.gate.open_calls() == [
        replace(OPEN, cap_names=tuple(c.name for c in spent))
    ]


OPEN = OpenCall("c0", "alice", "n1", 10 * CENT, 0)


@pytest.mark.parametrize("name", ["call", "day", "month", "key_day"])
async def test_a_cap_must_leave_the_first_increment(desk, name):
    assert await refusal(desk.admit(limits=limits(**{name: CENT - 1}))) == "cap_reached"
    quote, _ = await desk.admit(limits=limits(**{name: CENT}))
    assert quote.affordable_s == 1


# Destinations.


async def test_a_destination_of_the_carriers_list_is_refused_from_its_taking_over_on(desk):
    await desk.admit()
    desk.closed_destinations.closed = ClosedList((), {ECHO[1:8]: "US"})
    assert await refusal(desk.admit()) == "number_high_risk"
    assert await refusal(desk.quote()) == "number_high_risk"


async def test_a_high_risk_destination_is_open_only_to_whom_the_operator_opens_it(stage):
    cuba = "+5371234567"
    assert await refusal(Desk(stage).admit(cuba)) == "number_high_risk"
    opened = Desk(stage, open_high_risk=("53",))
    assert await refusal(opened.admit(cuba)) == "destination_not_priced"


# Velocity.


async def test_each_way_to_ask_has_its_own_limits_and_counts_before_it_looks_further(desk):
    for ask, uses in (
        (desk.quote, quote_uses(*WHO)),
        (desk.admit, token_uses(*WHO)),
        (desk.check, token_uses(*WHO)),
    ):
        desk.velocity.used.clear()
        desk.velocity.refuses = {uses[0].limit: 17}
        with pytest.raises(TooFastError) as refused:
            await ask(frozen=True)
        assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", 17)
        assert desk.velocity.used == list(uses)
        desk.velocity.refuses = {}
    assert desk.tokens.orders == {}


async def test_a_call_that_may_not_start_gets_no_token_and_is_not_counted(desk):
    desk.velocity.refuses["number_calls_minute"] = 9
    with pytest.raises(TooFastError) as refused:
        await desk.admit()
    assert (refused.value.code, refused.value.retry_after_s) == ("number_limited", 9)
    assert desk.tokens.orders == {}
    assert desk.velocity.used == list(token_uses(*WHO))
    assert desk.velocity.looked == list(call_uses(*WHO, ECHO))
    assert Use("number_calls_minute", f"alice {ECHO}") in desk.velocity.looked


async def test_a_quote_says_what_dialling_would_and_counts_no_call(desk):
    desk.velocity.refuses["range_short_calls_hour"] = 9
    with pytest.raises(RequestRefusedError) as refused:
        await desk.quote()
    # Nobody has asked for quotes too fast.
    assert not isinstance(refused.value, TooFastError)
    assert (refused.value.code, refused.value.retry_after_s) == ("range_limited", 9)
    assert desk.velocity.used == list(quote_uses(*WHO))
    assert desk.velocity.looked == list(call_uses(*WHO, ECHO))
    other = Desk(desk.stage)
    other.velocity.refuses = desk.velocity.refuses
    other.book.kept = lifted(Allowance.SHORT_CALLS)
    assert (await other.quote()).order.destination == ECHO


# What the book says of an account.

LONDON = "+442079460018"
PAID = AccountFacts(first_paid_at=AT - timedelta(days=1))


def lifted(rule, standing=PAID):
    return replace(standing, lifted={rule: AT + timedelta(hours=1)})


async def test_a_person_calls_their_countries_and_a_program_calls_them_all(desk):
    await desk.admit(LONDON)
    assert await refusal(desk.admit(LONDON, **PERSON)) == "country_closed"
    assert await refusal(desk.quote(LONDON, **PERSON)) == "country_closed"
    for standing in (AccountFacts(frozenset({"GB"})), lifted(Allowance.COUNTRIES, AccountFacts())):
        other = Desk(desk.stage)
        other.book.kept = standing
        await other.admit(LONDON, **PERSON)
    assert desk.refused == [("alice", "country_closed")]


async def test_a_new_card_spends_so_much_a_day_and_its_calls_end_there(desk):
    desk.book.kept = PAID
    quote, ticket = await desk.admit(**PERSON)
    assert (quote.affordable_s, quote.limited_by) == (50, "cap")
    order = desk.tokens.orders[ticket.token]
    assert order.limits == limits(day=50 * CENT)
    opening = Opening("c0", "alice", "n1", CENT, 50 * CENT, 9, b"{}", caps=order.limits.caps(AT))
    await desk.stage.gate.open(opening)
    assert await refusal(desk.admit(**PERSON)) == "new_card_limited"
    await desk.admit()
    desk = Desk(desk.stage)
    desk.book.kept = lifted(Allowance.NEW_CARD)
    await desk.admit(**PERSON)


async def test_a_first_payment_is_seen_by_the_next_call_and_not_by_each_quote(desk):
    await desk.quote(**PERSON)
    await desk.quote(**PERSON)
    assert desk.book.asked == 1
    desk.book.kept = PAID
    assert (await desk.admit(**PERSON))[0].affordable_s == 50
    await desk.admit(**PERSON)
    assert desk.book.asked == 2


async def test_a_rule_that_is_lifted_lets_this_account_go_on(desk):
    desk.velocity.refuses["range_short_calls_hour"] = 9
    assert await refusal(desk.admit()) == "range_limited"
    desk.book.kept = lifted(Allowance.VELOCITY, AccountFacts())
    other = Desk(desk.stage)
    other.velocity.refuses = desk.velocity.refuses
    other.book.kept = lifted(Allowance.VELOCITY, AccountFacts())
    assert await refusal(other.admit()) == "range_limited"
    other = Desk(desk.stage)
    other.velocity.refuses = desk.velocity.refuses
    other.book.kept = lifted(Allowance.SHORT_CALLS, AccountFacts())
    _, ticket = await other.admit()
    assert other.tokens.orders[ticket.token].lifted == ("short-calls",)


async def test_the_book_is_not_asked_where_nothing_is_set(desk):
    await desk.admit()
    await desk.admit(LONDON)
    off = Desk(desk.stage)
    off.admission = replace(
        off.admission, risk=Risk(Policy(), off.book, Epochs(), clock_ns=desk.stage.clock_ns)
    )
    await off.admit(LONDON, **PERSON)
    assert (desk.book.asked, off.book.asked) == (0, 0)


async def test_the_rules_are_asked_in_the_order_that_is_documented(desk):
    """Everything stands in the way at once; each time the first obstacle is taken away."""
    desk.book.kept = PAID
    desk.closed_destinations.closed = ClosedList((), {"4420": "GB"})
    desk.stage.gate.fill(alice=0)
    desk.velocity.refuses = {"number_calls_hour": 5}
    asked = {**PERSON, "frozen": True, "number": "+44900", "limits": limits(day=1, month=1)}
    told = []

    async def refused():
        told.append(await refusal(desk.admit(**asked)))

    await refused()
    asked["frozen"] = False
    await refused()
    asked["number"] = "+449012345678"
    await refused()
    asked["number"] = LONDON
    await refused()
    desk.closed_destinations.closed = ClosedList()
    await refused()
    desk = await _next(desk, AccountFacts(frozenset({"FR", "GB"}), PAID.first_paid_at))
    asked["number"] = "+33123456789"
    await refused()
    asked["number"] = LONDON
    await refused()
    desk.stage.gate.fill(alice=CREDIT * 100)
    asked["limits"] = limits(day=1, month=1)
    await refused()
    desk = await _next(desk, lifted(Allowance.NEW_CARD, desk.book.kept))
    await refused()
    asked["limits"] = limits()
    await refused()
    order = [code for rule in RULES for code in rule.codes]
    assert told == sorted(told, key=order.index)
    assert told == [
        "account_frozen",
        "number_too_short",
        "number_premium",
        "number_high_risk",
        "country_closed",
        "destination_not_priced",
        "insufficient_credit",
        "new_card_limited",
        "cap_reached",
        "number_limited",
    ]


async def _next(desk, standing):
    """Return a desk that has read another standing, and all else of this one."""
    other = Desk(desk.stage)
    other.velocity.refuses = desk.velocity.refuses
    other.book.kept = standing
    return other
