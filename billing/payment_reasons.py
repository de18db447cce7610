"""Names why a payment moved an account's credit: as the ledger says it, and as a key of words.

The ledger keeps a sentence of ours, in English, and never a word of the payment service. Pages say
the same in their own language. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REFUND_REASON: Final = "Refund to your card."
REFUND_FAILED_REASON: Final = "The refund to your card failed."
REFUND_REASONS: Final = (REFUND_REASON, REFUND_FAILED_REASON)
"""Why the money of a refund goes, and why it comes back."""
DISPUTE_WON_REASON: Final = "The dispute was decided in favour of the payment."
ACCOUNT_DELETED_REASON: Final = "The account was deleted."
LEAVING_NAMES: Final = ("leaving", "leaving-2", "leaving-3")
"""End the names of refunds of a leaving account's credit: each of another attempt."""
ACCOUNT_LOCKED: Final = "account_locked"
"""Why automatic top-ups are off that a lock of the account has stopped: a code, as of declines."""

_DISPUTED: Final = "The payment was disputed at the card's bank"
_BY_CODE: Final[Mapping[str, str]] = {
    "fraudulent": f"{_DISPUTED}: it is said not to have been made by the card's holder.",
    "unrecognized": f"{_DISPUTED}: the card's holder does not recognise it.",
    "duplicate": f"{_DISPUTED}: it is said to have been charged twice.",
    "product_not_received": f"{_DISPUTED}: it is said that nothing was received for it.",
    "product_unacceptable": f"{_DISPUTED}: what was received is said not to be as promised.",
    "credit_not_processed": f"{_DISPUTED}: it is said that a refund is owed.",
    "subscription_canceled": f"{_DISPUTED}: it is said to have been cancelled before.",
    "debit_not_authorized": f"{_DISPUTED}: it is said not to have been agreed to.",
    "insufficient_funds": f"{_DISPUTED}: there was not enough money for it.",
    "incorrect_account_details": f"{_DISPUTED}: the details of the bank account were wrong.",
    "bank_cannot_process": f"{_DISPUTED}: the bank could not process it.",
}
"""Code of Stripe (API reference, "The dispute object", `reason`) -> sentence. Others, such as
`general`, say nothing."""

KEYS: Final[Mapping[str, str]] = {
    # The kind of the entry says all there is.
    REFUND_REASON: "",
    f"{_DISPUTED}.": "",
    REFUND_FAILED_REASON: "refund_failed",
    DISPUTE_WON_REASON: "dispute_won",
    ACCOUNT_DELETED_REASON: "account_deleted",
    **{sentence: f"disputed_{code}" for code, sentence in _BY_CODE.items()},
}
"""Sentence of the ledger -> a key of the words under `payment_reason.`; empty where none are
needed."""


def dispute_reasons(code: str) -> tuple[str, str]:
    """Return why the money of a dispute goes, and why it comes back; any code is understood."""
    return _BY_CODE.get(code, f"{_DISPUTED}."), DISPUTE_WON_REASON
