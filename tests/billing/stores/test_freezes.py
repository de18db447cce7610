"""Which reasons of a freeze a release ends."""

import pytest

from billing.stores.freezes import FreezeReason, released_by

HOLDERS = {FreezeReason.LOCKED, FreezeReason.LEAVING, FreezeReason.RESTRICTED}


@pytest.mark.parametrize("reason", FreezeReason)
def test_a_release_ends_its_own_reason(reason):
    assert reason in released_by(reason)


def test_an_operator_overrules_the_payment_service_and_no_holder():
    assert released_by(FreezeReason.OPERATOR) == {FreezeReason.OPERATOR, FreezeReason.DISPUTE}
    for reason in HOLDERS | {FreezeReason.DISPUTE}:
        assert released_by(reason) == {reason}
