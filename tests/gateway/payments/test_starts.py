"""How often payments are begun: each start counts once, a repeat never."""

import pytest

from gateway.errors import TooFastError
from gateway.payments.service import payment_id_of
from gateway.payments.starts import count_start
from tests.gateway.calls.test_live import Velocity


class Store:
    def __init__(self, *known):
        self.known = known

    async def find(self, payment_id):
        return payment_id if payment_id in self.known else None


async def test_a_start_counts_and_a_repeat_does_not():
    velocity, known = Velocity(), Store(payment_id_of("ada", "once"))
    await count_start(velocity, known, "ada", "192.0.2.1", "once")
    assert not velocity.used
    for key in ("", "another"):
        await count_start(velocity, known, "ada", "192.0.2.1", key)
    limits = ["account_checkouts_hour", "address_checkouts_hour"]
    assert [use.limit for use in velocity.used] == 2 * limits


async def test_what_is_too_fast_is_refused():
    velocity = Velocity()
    velocity.refuses = {"account_checkouts_hour": 60}
    with pytest.raises(TooFastError):
        await count_start(velocity, Store(), "ada", "192.0.2.1", "")
