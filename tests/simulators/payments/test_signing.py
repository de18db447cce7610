"""The signature, graded by Stripe's own library."""

from __future__ import annotations

import time

import pytest
import stripe

from simulators.payments.signing import SIGNATURE_HEADER, sign

BODY = '{"text": "é"}'


def test_stripes_library_verifies_it() -> None:
    header = sign(BODY.encode(), "whsec_a", int(time.time()))
    assert SIGNATURE_HEADER == "Stripe-Signature"
    assert stripe.WebhookSignature.verify_header(BODY, header, "whsec_a", 300)
    for body, secret in ((BODY, "whsec_b"), (BODY + " ", "whsec_a")):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, header, secret, 300)
