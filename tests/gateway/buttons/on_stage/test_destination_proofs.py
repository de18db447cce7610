"""Which numbers are called with a code, at the operator's cost, and what follows from a code."""

from datetime import UTC, datetime

import pytest

from billing.rate_deck import RateDeck
from gateway.buttons.destination_proofs import DestinationProofs
from gateway.buttons.ports import (
    DESTINATIONS_MAX,
    CodeTry,
    Comparison,
    ProofCaller,
    ProofStart,
    ProvenDestination,
)
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.calls.risk import Risk
from gateway.cause import Cause
from gateway.errors import CarrierError, RequestRefusedError, TooFastError
from gateway.limits.fraud import AccountFacts
from tests.gateway.calls.test_admission import AT, DECK, POLICY, RiskBook
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import Account, Epochs

UK, US = "+442079460018", "+15005551000"
CALLER = ProofCaller("alice", "192.0.2.1", "de")


class Office:
    """Everything around a proof, in memory; the first code is 000007."""

    def __init__(self):
        self.account_found, self.noted = Account(key_id=""), CodeTry.PROVEN
        self.proven, self.kept, self.calls, self.fault = [], {}, [], None
        self.velocity, self.book = Velocity(), RiskBook()
        self.proofs = DestinationProofs(
            accounts=self,
            numbers=self,
            codes=self,
            announcer=self,
            velocity=self.velocity,
            rates=RateDeck.from_csv(DECK),
            closed_destinations=ClosedDestinations(None, ()),
            risk=Risk(POLICY, self.book, Epochs(), utc_now=lambda: AT),
            new_number=lambda below: 7,
            secret="s",
            service="Example",
        )

    async def account(self, account_id):
        return self.account_found

    async def destinations(self, account_id):
        return [ProvenDestination(number, AT) for number in self.proven]

    async def note_proven(self, account_id, epoch, number):
        if self.noted is CodeTry.PROVEN:
            self.proven.append(number)
        return self.noted

    async def keep(self, place, digest):
        self.kept[place] = digest

    async def compare(self, place, digest):
        if place not in self.kept:
            return Comparison.OVER
        return Comparison.RIGHT if self.kept[place] == digest else Comparison.WRONG

    async def forget(self, place):
        self.kept.pop(place, None)

    async def announce(self, number, text, language):
        self.calls.append((number, text, language))
        if self.fault:
            raise self.fault

    async def start(self, number=US):
        return await self.proofs.start(CALLER, number)

    async def refusal(self, number=US):
        with pytest.raises(RequestRefusedError) as refused:
            await self.start(number)
        return refused.value

    async def try_code(self, code, number=US, account_id="alice"):
        return await self.proofs.try_code(account_id, 1, number, code)


@pytest.fixture
def office():
    return Office()


async def test_a_number_is_called_and_its_code_proves_it(office):
    assert await office.start("+1 500 555 1000") is ProofStart.CALLED
    ((number, text, language),) = office.calls
    assert (number, language) == (US, "de-DE")
    assert text.count("0. 0. 0. 0. 0. 7.") == 2
    assert "000007" not in str(office.kept)
    assert US not in str(office.kept)
    assert await office.try_code("000008") is CodeTry.WRONG
    # Neither another number's nor another account's.
    assert await office.try_code("000007", UK) is CodeTry.OVER
    assert await office.try_code("000007", account_id="bob") is CodeTry.OVER
    assert await office.try_code("000 007") is CodeTry.PROVEN
    assert (office.proven, office.kept) == ([US], {})
    assert await office.start() is ProofStart.ALREADY_PROVEN


async def test_a_code_stays_where_what_it_proves_was_not_noted(office):
    await office.start()
    office.noted = CodeTry.SESSION_OVER
    assert await office.try_code("000007") is CodeTry.SESSION_OVER
    office.noted = CodeTry.PROVEN
    assert await office.try_code("000007") is CodeTry.PROVEN


async def test_only_what_the_account_may_call_is_called(office):
    office.account_found = Account(has_holder=True, key_id="")
    office.book.kept = AccountFacts(first_paid_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert (await office.refusal(UK)).code == "country_closed"
    assert (await office.refusal("112")).code == "number_emergency"
    assert (await office.refusal("+33142685300")).code in (
        "destination_not_priced",
        "country_closed",
    )
    office.account_found = Account(frozen=True)
    assert (await office.refusal()).code == "account_frozen"
    office.account_found = Account(frozen=True, is_restricted=True)
    assert (await office.refusal()).code == "account_restricted"
    office.account_found = None
    assert (await office.refusal()).code == "account_frozen"
    assert (office.calls, office.velocity.used) == ([], [])


async def test_a_person_must_have_paid_before(office):
    office.account_found = Account(has_holder=True, key_id="")
    assert await office.start() is ProofStart.NEVER_PAID
    assert (office.calls, office.velocity.used) == ([], [])
    office.book.kept = AccountFacts(first_paid_at=AT)
    assert await office.start() is ProofStart.CALLED


async def test_these_calls_are_few(office):
    office.velocity.refuses = {"number_proof_calls_day": 3_600}
    error = await office.refusal()
    assert isinstance(error, TooFastError)
    assert (error.code, error.retry_after_s) == ("number_limited", 3_600)
    assert {use.limit for use in office.velocity.used} == {
        "account_proof_calls_day",
        "number_proof_calls_day",
        "network_proof_calls_day",
        "all_proof_calls_hour",
    }
    assert office.calls == []
    office.velocity.refuses = {}
    office.proven = [f"+1500555{n:04}" for n in range(2_000, 2_000 + DESTINATIONS_MAX)]
    assert await office.start() is ProofStart.TOO_MANY


@pytest.mark.parametrize("is_ambiguous", [True, False])
async def test_a_call_that_the_carrier_did_not_take_leaves_no_code(office, is_ambiguous):
    office.fault = CarrierError("no", cause=Cause.CALL_REJECTED, ambiguous=is_ambiguous)
    told = await office.start()
    if is_ambiguous:
        # It may ring all the same.
        assert told is ProofStart.CALLED
        assert await office.try_code("000007") is CodeTry.PROVEN
    else:
        assert told is ProofStart.NOT_REACHED
        assert await office.try_code("000007") is CodeTry.OVER
