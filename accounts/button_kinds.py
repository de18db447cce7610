"""The part of the data map about buttons on other pages, their owners' numbers and visitors."""

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

_PROVIDE, _FRAUD = DataPurpose.PROVIDE, DataPurpose.PREVENT_FRAUD
_PERSON, _OPERATOR = DataViewer.PERSON, DataViewer.OPERATOR
_LIFE: Final = KeptFor(KeptSpan.ACCOUNT, "it is there until its owner deletes it")
_DELETED: Final = KindErasure(Fate.DELETED)

BUTTON_KINDS: Final[tuple[KindOfData, ...]] = (
    KindOfData(
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
    KindOfData(
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
    KindOfData(
        "visitors",
        (_FRAUD,),
        (),
        KeptFor(KeptSpan.DAYS, "calls of one visitor with one button are counted by the day", 2),
        KindErasure(
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
