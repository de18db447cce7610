"""The part of the data map about webhooks: where events are posted, and what became of them."""

from __future__ import annotations

from typing import Final

from accounts.personal_data import (
    Columns,
    DataPurpose,
    DataViewer,
    Fate,
    KeptFor,
    KeptSpan,
    KindErasure,
    KindOfData,
)

_PERSON, _OPERATOR = DataViewer.PERSON, DataViewer.OPERATOR
_DELETED: Final = KindErasure(Fate.DELETED)

WEBHOOK_KINDS: Final[tuple[KindOfData, ...]] = (
    KindOfData(
        "webhooks",
        (DataPurpose.PROVIDE,),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.ACCOUNT, "it is there until its owner deletes it"),
        _DELETED,
        sql=(
            Columns(
                "webhook_endpoints",
                (
                    "id",
                    "account_id",
                    "url",
                    "label",
                    "types",
                    "old_until",
                    "created_at",
                    "set_at",
                    "disabled_at",
                    "disabled_why",
                    "failing_since",
                    "failures",
                    "rests_until",
                    "claimed_until",
                ),
            ),
        ),
        logs=("webhook",),
    ),
    KindOfData(
        "webhook_secrets",
        (DataPurpose.PROVIDE,),
        (),
        KeptFor(KeptSpan.ACCOUNT, "posts are signed with it"),
        _DELETED,
        sql=(Columns("webhook_endpoints", ("seed", "old_seed")),),
        not_exported="a file with it would help whoever steals the file, and nobody else",
    ),
    KindOfData(
        "webhook_deliveries",
        (DataPurpose.PROVIDE,),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.DAYS, "its owner may ask what became of one, and have it sent again", 30),
        _DELETED,
        sql=(
            Columns(
                "webhook_deliveries",
                (
                    "id",
                    "endpoint_id",
                    "account_id",
                    "event_id",
                    "type",
                    "at",
                    "call_id",
                    "data_json",
                    "state",
                    "tries",
                    "tries_before",
                    "next_try_at",
                    "created_at",
                    "ended_at",
                    "failure",
                ),
            ),
            Columns(
                "webhook_attempts",
                ("delivery_id", "number", "account_id", "at", "status", "ms", "reason"),
            ),
        ),
    ),
)
