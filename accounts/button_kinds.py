"""The part of the data map about buttons on other pages, their owners' numbers and visitors."""

from __future__ import annotations

from typing import Final

from accounts.personal_data import (
    Columns,
    Erasure,
    Fate,
    Key,
    Kind,
    Period,
    Purpose,
    Span,
    Via,
    Viewer,
)

_PROVIDE, _FRAUD = Purpose.PROVIDE, Purpose.PREVENT_FRAUD
_PERSON, _OPERATOR = Viewer.PERSON, Viewer.OPERATOR
_LIFE: Final = Period(Span.ACCOUNT, "it is there until its owner deletes it")
_DELETED: Final = Erasure(Fate.DELETED)

BUTTON_KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        "buttons",
        (_PROVIDE,),
        (_PERSON, _OPERATOR),
        _LIFE,
        _DELETED,
        sql=(
            Columns(
                "buttons",
                (
                    "id",
                    "account_id",
                    "key_id",
                    "label",
                    "destination",
                    "rules",
                    "made_at",
                    "paused_at",
                    "budget_told",
                ),
            ),
            Columns("button_keys", ("key", "button_id", "account_id", "made_at", "ends_at")),
        ),
    ),
    Kind(
        "destinations",
        (_PROVIDE, _FRAUD),
        (_PERSON, _OPERATOR),
        _LIFE,
        _DELETED,
        sql=(Columns("proven_destinations", ("account_id", "number", "proven_at")),),
        # While a number is being proven.
        valkey=(Key("caller:proof-code:1:<digest>", Via.DIGEST),),
    ),
    # Visitors have no account; this is all that is kept of them.
    Kind(
        "visitors",
        (_FRAUD,),
        (),
        Period(Span.DAYS, "calls of one visitor with one button are counted by the day", 2),
        Erasure(
            Fate.EXPIRES,
            "digests under the salt of a day: once the salt is gone they identify no one",
        ),
        valkey=(
            Key("caller:visitor-salt:1:<day>", Via.DIGEST),
            Key("caller:challenge:1:<digest>", Via.DIGEST),
        ),
        not_exported="it identifies no one, and is gone the day after",
    ),
)
