"""Books credit that an operator gives to an account or takes back, once per reference."""

from __future__ import annotations

from typing import Protocol

from billing.ports import CreditBook
from gateway.errors import RequestRefusedError


class GrantBook(CreditBook, Protocol):
    """The book of record, as far as grants need it."""

    async def credited_micros(self, reference: str) -> int | None:
        """Return the amount of the credit with this reference; None if it is not booked."""


async def book_grant(book: GrantBook, account_id: str, micros: int, name: str) -> bool:
    """Book a grant, or take one back; False if the very same was booked before.

    `name` is the operator's own: two accounts may use the same. Raises RequestRefusedError
    `credit_reference_reused` if the name has another amount, and what `CreditBook.add_credit`
    raises.
    """
    reference = f"grant:{account_id}:{name}"
    sequence = await book.add_credit(account_id, micros, reference=reference, kind="grant")
    if sequence is not None:
        return True
    # Compared after the repeat was found: an entry never changes, so this is not a race.
    if await book.credited_micros(reference) != micros:
        raise RequestRefusedError("credit_reference_reused", field="reference")
    return False
