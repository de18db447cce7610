"""The kinds of personal data in the books; a part of the data map."""

from __future__ import annotations

from typing import Final

from accounts.personal_data import (
    Columns,
    DataPurpose,
    DataViewer,
    Fate,
    KeptFor,
    KeptSpan,
    Key,
    KindErasure,
    KindOfData,
    Via,
)

BOOK_YEARS: Final = 10
"""How long books are usually kept: § 147 (3) AO, § 257 (4) HGB; less in some countries."""
BY_LAW: Final = "CALLER_BOOKS_KEPT_YEARS"
PSEUDONYMISED: Final = KindErasure(
    Fate.PSEUDONYMISED,
    "the books need the entry, and its account number no longer leads to a person",
)
FOR_GOOD: Final = KeptFor(KeptSpan.EVER, "all books together must add up")
_BOOKS: Final = KeptFor(
    KeptSpan.BOOKS, "books must show what was paid and charged", BOOK_YEARS, BY_LAW
)

MONEY_KINDS: Final[tuple[KindOfData, ...]] = (
    KindOfData(
        "unread",
        (DataPurpose.TRANSACT,),
        (DataViewer.OPERATOR,),
        KeptFor(KeptSpan.YEARS, "money may hang on it: the operator books it", BOOK_YEARS, BY_LAW),
        KindErasure(Fate.PSEUDONYMISED, "what cannot be read is blanked; that it came stays"),
        sql=(
            Columns(
                "rejected_entries",
                ("partition", "entry_id", "kind", "fields", "at"),
                key="fields",
                via=Via.CALL,
            ),
        ),
        not_exported="it has not been readable so far; once it is, it becomes a call or a charge",
    ),
    KindOfData(
        "charges",
        (DataPurpose.TRANSACT, DataPurpose.COMPLY),
        (DataViewer.PERSON, DataViewer.OPERATOR),
        _BOOKS,
        PSEUDONYMISED,
        sql=(
            Columns(
                "transfers",
                (
                    "reference",
                    "kind",
                    "source",
                    "target",
                    "micros",
                    "currency",
                    "account_id",
                    "call_id",
                    "at",
                    "reason",
                ),
            ),
            Columns(
                "credits",
                ("account_id", "sequence", "micros", "reference", "kind", "at", "payment_id"),
            ),
            Columns(
                "calls",
                (
                    "id",
                    "account_id",
                    "opened",
                    "closed",
                    "currency",
                    "rate",
                    "seconds",
                    "spent_micros",
                    "written_off_micros",
                    "booked_at",
                    "key_id",
                    "cause",
                    "ended_by",
                    "forgotten_at",
                ),
            ),
            Columns("accounts", ("balance_micros", "credit_sequence"), key="id"),
        ),
        valkey=(
            *(Key(f"{{cr:<partition>}}:{name}") for name in ("bal", "cseq", "meta", "out")),
            *(Key(f"{{cr:<partition>}}:{name}") for name in ("caps", "used")),
            *(Key(f"{{cr:<partition>}}:{name}", Via.CALL) for name in ("call", "done", "age")),
        ),
        logs=("cost_micros", "seconds"),
    ),
    KindOfData(
        "carried",
        (DataPurpose.TRANSACT, DataPurpose.COMPLY),
        (DataViewer.PERSON, DataViewer.OPERATOR),
        KeptFor(KeptSpan.ACCOUNT, "a balance is the sum of all that was ever booked"),
        KindErasure(
            Fate.ANONYMOUS,
            "all books together must add up; it is one sum for each ledger account, and digests of"
            " what entries were called",
            FOR_GOOD,
        ),
        sql=(
            Columns(
                "closed_books",
                (
                    "account_id",
                    "until",
                    "closing",
                    "customer_micros",
                    "payments_micros",
                    "grants_micros",
                    "revenue_micros",
                    "write_off_micros",
                ),
                withheld=("closing",),
            ),
            Columns("closed_credits", ("account_id", "sequence", "reference")),
        ),
    ),
    KindOfData(
        "payments",
        (DataPurpose.TRANSACT, DataPurpose.PREVENT_FRAUD, DataPurpose.COMPLY),
        (DataViewer.PERSON, DataViewer.OPERATOR, DataViewer.PAYMENT_SERVICE),
        _BOOKS,
        PSEUDONYMISED,
        sql=(
            Columns(
                "payments",
                (
                    "id",
                    "account_id",
                    "kind",
                    "micros",
                    "refunded_micros",
                    "disputed_micros",
                    "currency",
                    "state",
                    "checkout_id",
                    "payment_intent_id",
                    "receipt_url",
                    "failure",
                    "created_at",
                    "updated_at",
                ),
            ),
        ),
        logs=("payment", "object", "fact"),
        services=("Stripe: payment",),
    ),
    KindOfData(
        "card",
        (DataPurpose.TRANSACT,),
        (DataViewer.PERSON, DataViewer.OPERATOR, DataViewer.PAYMENT_SERVICE),
        KeptFor(KeptSpan.ACCOUNT, "without it there is no account"),
        KindErasure(Fate.DELETED),
        sql=(
            Columns(
                "payment_profiles",
                (
                    "account_id",
                    "customer_id",
                    "payment_method_id",
                    "email",
                    "auto_enabled",
                    "auto_threshold_micros",
                    "auto_amount_micros",
                    "auto_off_reason",
                ),
            ),
            Columns("charge_requests", ("payment_id", "account_id", "body", "tried_at")),
        ),
        services=("Stripe: customer",),
        corrected_at="/account/credit",
    ),
)
