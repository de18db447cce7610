"""Books credit that an operator gives to an account or takes back, once per reference."""

from __future__ import annotations

from billing.ports import LedgerStore
from gateway.errors import RequestRefusedError


async def book_grant(book: LedgerStore, account_id: str, micros: int, name: str) -> bool:
    """Book a grant, or take one back; False if the very same was booked before.

    `name` is the operator's own: two accounts may use the same. Raises RequestRefusedError
    `credit_reference_reused` if the name has another amount, and what `LedgerStore.add_credit`
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
