"""The part of the data map about webhooks: where events are posted, and what became of them."""

from __future__ import annotations

from typing import Final

from accounts.personal_data import (
    Columns,
    Erasure,
    Fate,
    Kind,
    Period,
    Purpose,
    Span,
    Viewer,
)

_PERSON, _OPERATOR = Viewer.PERSON, Viewer.OPERATOR
_DELETED: Final = Erasure(Fate.DELETED)

WEBHOOK_KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        "webhooks",
        (Purpose.PROVIDE,),
        (_PERSON, _OPERATOR),
        Period(Span.ACCOUNT, "it is there until its owner deletes it"),
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
    Kind(
        "webhook_secrets",
        (Purpose.PROVIDE,),
        (),
        Period(Span.ACCOUNT, "posts are signed with it"),
        _DELETED,
        sql=(Columns("webhook_endpoints", ("seed", "old_seed")),),
        not_exported="a file with it would help whoever steals the file, and nobody else",
    ),
    Kind(
        "webhook_deliveries",
        (Purpose.PROVIDE,),
        (_PERSON, _OPERATOR),
        Period(Span.DAYS, "its owner may ask what became of one, and have it sent again", 30),
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
