"""The data map: every kind of personal data; `not_personal` lists what says nothing about a person.

Export, erasure, retention, the privacy policy and the list of hosts follow from it; a test compares
it with what the stores really hold, both ways.
"""

from __future__ import annotations

from typing import Final

from accounts.button_kinds import BUTTON_KINDS
from accounts.link import MAIL_MAX
from accounts.money_kinds import BOOK_YEARS, BY_LAW, FOR_GOOD, MONEY_KINDS, PSEUDONYMISED
from accounts.personal_data import (
    Columns,
    ContactedHost,
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
from accounts.webhook_kinds import WEBHOOK_KINDS
from billing.cdr import FIGURES

CALL_MONTHS_MAX: Final = 12
"""How long call records are kept, as people are promised."""
_PROVIDE, _TRANSACT, _NOTIFY = DataPurpose.PROVIDE, DataPurpose.TRANSACT, DataPurpose.NOTIFY
_IMPROVE, _FRAUD, _COMPLY = DataPurpose.IMPROVE, DataPurpose.PREVENT_FRAUD, DataPurpose.COMPLY
_PERSON, _OPERATOR = DataViewer.PERSON, DataViewer.OPERATOR

_CALL: Final = sorted(FIGURES, key=lambda figure: figure.is_of_operation)
_LIFE: Final = KeptFor(KeptSpan.ACCOUNT, "without it there is no account")
_DELETED: Final = KindErasure(Fate.DELETED)
KINDS: Final[tuple[KindOfData, ...]] = (
    KindOfData(
        "account",
        (_PROVIDE,),
        (_PERSON, _OPERATOR),
        _LIFE,
        KindErasure(
            Fate.ANONYMOUS,
            "books are closed under its number, which identifies no one and is never reused",
            FOR_GOOD,
        ),
        sql=(
            Columns(
                "accounts",
                (
                    "id",
                    "slot",
                    "currency",
                    "frozen",
                    "created_at",
                    "deleted_at",
                    "keeps_quality",
                    "call_cap_micros",
                    "day_cap_micros",
                    "month_cap_micros",
                    "caps_counted_from",
                ),
                key="id",
            ),
            Columns("holders", ("account_id", "language", "created_at")),
            Columns("freezes", ("account_id", "reason", "at")),
        ),
        valkey=(Key("{cr:<partition>}:froz"),),
        logs=("account",),
        files=("erased.log",),
        corrected_at="/account",
    ),
    KindOfData(
        "email",
        (_PROVIDE, _NOTIFY),
        (_PERSON, _OPERATOR, DataViewer.MAIL_SERVER, DataViewer.PAYMENT_SERVICE),
        _LIFE,
        _DELETED,
        sql=(
            Columns("holders", ("email", "email_key", "email_proven_at")),
            Columns("accounts", ("email",), key="id"),
        ),
        corrected_at="/account/address",
    ),
    KindOfData(
        "credentials",
        (_PROVIDE, _FRAUD),
        (),
        _LIFE,
        _DELETED,
        sql=(Columns("holders", ("password_hash", "credentials_epoch", "locked_at")),),
        corrected_at="/account/password",
        not_exported="in a file it would only help someone who steals the file",
    ),
    KindOfData(
        "second_factor",
        (_PROVIDE, _FRAUD),
        (_PERSON,),
        _LIFE,
        _DELETED,
        sql=(
            Columns("second_factors", ("account_id", "sealed_secret", "last_step", "added_at")),
            Columns("recovery_codes", ("account_id", "digest")),
        ),
        files=("second-factor.key",),
        corrected_at="/account/security",
        not_exported="in a file it would only help someone who steals the file",
    ),
    KindOfData(
        "passkeys",
        (_PROVIDE, _FRAUD),
        (_PERSON, _OPERATOR),
        _LIFE,
        _DELETED,
        sql=(
            Columns(
                "passkeys",
                (
                    "credential_id",
                    "account_id",
                    "public_key",
                    "sign_count",
                    "name",
                    "is_synced",
                    "is_backed_up",
                    "added_at",
                    "used_at",
                ),
            ),
        ),
        corrected_at="/account/security",
    ),
    KindOfData(
        "ceremonies",
        (_PROVIDE, _FRAUD),
        (),
        KeptFor(KeptSpan.MINUTES, "a person must find a code or a key", 15),
        KindErasure(Fate.EXPIRES, "only the browser that began it can go on"),
        valkey=(Key("caller:ceremony:1:<digest>", Via.NAME),),
        not_exported="it is over before a file is made",
    ),
    KindOfData(
        "consents",
        (_COMPLY,),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.ACCOUNT, "it proves what was agreed"),
        _DELETED,
        sql=(Columns("consents", ("account_id", "document", "version", "at")),),
    ),
    KindOfData(
        "proof",
        (_COMPLY,),
        (_OPERATOR,),
        KeptFor(KeptSpan.MONTHS, "claims lapse by then", 48),
        KindErasure(
            Fate.KEPT, "it proves that the terms were accepted, to someone who has the address"
        ),
        sql=(
            Columns(
                "consent_proofs",
                ("digest", "document", "version", "at", "kept_until"),
                key="digest",
                via=Via.DIGEST,
            ),
        ),
        not_exported="it is made when the account is deleted",
    ),
    KindOfData(
        "choices",
        (_PROVIDE, _COMPLY),
        (_PERSON, _OPERATOR),
        _LIFE,
        _DELETED,
        sql=(Columns("holders", ("objected_at", "restricted_at", "muted")),),
        corrected_at="/account/privacy-choices",
    ),
    KindOfData(
        "requests",
        (_COMPLY,),
        (_PERSON, _OPERATOR),
        KeptFor(
            KeptSpan.YEARS, "it proves that requests were answered in time", BOOK_YEARS, BY_LAW
        ),
        KindErasure(Fate.PSEUDONYMISED, "it has an account number and dates, and no one's words"),
        sql=(
            Columns(
                "data_requests",
                (
                    "id",
                    "account_id",
                    "kind",
                    "asked_at",
                    "due_at",
                    "done_at",
                    "done_by",
                    "note",
                ),
            ),
            Columns(
                "erasures",
                (
                    "account_id",
                    "state",
                    "step",
                    "unspent",
                    "actor",
                    "asked_at",
                    "due_at",
                    "leased_until",
                    "ended_at",
                ),
            ),
        ),
    ),
    KindOfData(
        "links",
        (_PROVIDE, _NOTIFY),
        (_OPERATOR,),
        KeptFor(KeptSpan.DAYS, "a page can still say that a link is over", 30),
        _DELETED,
        sql=(
            Columns(
                "links",
                (
                    "digest",
                    "purpose",
                    "account_id",
                    "email",
                    "asked_at",
                    "reach",
                    "expires_at",
                    "used_at",
                ),
                withheld=("digest",),
            ),
            Columns(
                "expected_links",
                ("account_id", "purpose", "email", "email_key", "asked_at", "lapses_at"),
            ),
        ),
    ),
    KindOfData(
        "devices",
        (_PROVIDE, _FRAUD),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.MONTHS, "a browser that was not seen for so long counts as new again", 12),
        _DELETED,
        sql=(
            Columns(
                "devices",
                (
                    "account_id",
                    "id",
                    "browser",
                    "system",
                    "country",
                    "first_seen_at",
                    "last_seen_at",
                ),
                withheld=("id",),
            ),
        ),
        corrected_at="/account/devices",
    ),
    KindOfData(
        "sessions",
        (_PROVIDE, _FRAUD),
        (_PERSON,),
        KeptFor(KeptSpan.DAYS, "no one stays signed in for longer", 30),
        _DELETED,
        valkey=(
            Key("caller:session:1:{<tag>}:<digest>"),
            Key("caller:sessions:1:{<tag>}:<account>"),
        ),
        corrected_at="/account/devices",
    ),
    KindOfData(
        "activity",
        (_FRAUD, _COMPLY),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.MONTHS, "long enough to find out what an intruder did", 12),
        KindErasure(
            Fate.PSEUDONYMISED,
            "it proves what was done with the account; the reasons that were given go with it",
        ),
        sql=(
            Columns(
                "account_events",
                ("id", "account_id", "at", "act", "actor", "reason", "operator"),
                # Which operator it was is data about the operator, not about the account holder.
                withheld=("operator",),
            ),
        ),
    ),
    KindOfData(
        "countries",
        (_PROVIDE, _FRAUD),
        (_PERSON, _OPERATOR),
        _LIFE,
        _DELETED,
        sql=(Columns("opened_countries", ("account_id", "country", "opened_at")),),
        corrected_at="/account/countries",
    ),
    KindOfData(
        "supervision",
        (_PROVIDE, _COMPLY),
        (_PERSON, _OPERATOR),
        _LIFE,
        _DELETED,
        sql=(Columns("supervision_rules", ("account_id", "most", "silent_reason", "set_at")),),
        logs=("mode",),
        corrected_at="/account/supervision",
    ),
    KindOfData(
        "refusals",
        (_FRAUD,),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.DAYS, "most payments can be disputed for so long", 90),
        _DELETED,
        sql=(Columns("call_refusals", ("account_id", "hour", "rule", "run", "count")),),
    ),
    KindOfData(
        "exceptions",
        (_FRAUD,),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.ACCOUNT, "an operator who lifted a rule must be able to see it"),
        _DELETED,
        sql=(Columns("rule_overrides", ("account_id", "rule", "until")),),
    ),
    KindOfData(
        "mails",
        (_NOTIFY,),
        (_PERSON, _OPERATOR, DataViewer.MAIL_SERVER),
        KeptFor(KeptSpan.DAYS, "someone may ask what became of one", 30),
        KindErasure(
            Fate.EXPIRES,
            "the last mail says that the account is deleted; it goes once it has left",
            KeptFor(KeptSpan.DAYS, "a mail server may be away for so long", MAIL_MAX.days),
        ),
        sql=(
            Columns(
                "mail_outbox",
                (
                    "id",
                    "account_id",
                    "notice",
                    "recipient",
                    "values_json",
                    "link_purpose",
                    "link_email",
                    "once",
                    "state",
                    "tries",
                    "next_try_at",
                    "message_id",
                    "created_at",
                    "ended_at",
                    "failure",
                    "reach",
                ),
            ),
        ),
        logs=("message_id", "about"),
    ),
    *WEBHOOK_KINDS,
    KindOfData(
        "keys",
        (_PROVIDE,),
        (_PERSON, _OPERATOR),
        KeptFor(KeptSpan.BOOKS, "each call names the key that paid for it", BOOK_YEARS, BY_LAW),
        PSEUDONYMISED,
        sql=(
            Columns(
                "api_keys",
                (
                    "id",
                    "key_hash",
                    "account_id",
                    "label",
                    "created_at",
                    "revoked_at",
                    "day_cap_micros",
                    "month_cap_micros",
                    "scopes",
                    "expires_at",
                    "caps_counted_from",
                ),
                withheld=("key_hash",),
            ),
        ),
        logs=("key",),
        corrected_at="/account/keys",
    ),
    *BUTTON_KINDS,
    KindOfData(
        "calls",
        (_PROVIDE, _IMPROVE, _FRAUD),
        (_PERSON, _OPERATOR, DataViewer.CARRIER),
        KeptFor(
            KeptSpan.MONTHS,
            "long enough to question a call or a bill",
            CALL_MONTHS_MAX,
            "CALLER_CALLS_KEPT_MONTHS",
        ),
        _DELETED,
        sql=(
            Columns(
                "calls",
                tuple(figure.column for figure in _CALL),
                withheld=tuple(figure.column for figure in _CALL if figure.is_withheld),
                beside=("id", "seconds", "spent_micros", "currency"),
            ),
        ),
        valkey=(
            Key("{cr:<partition>}:began", Via.CALL),
            Key("{cr:<partition>}:ends", Via.CALL),
            Key("{cr:<partition>}:led"),
            Key("{cr:<partition>}:own", Via.CALL),
        ),
        logs=(
            "call_id",
            "carrier_call_id",
            "country",
            "cause",
            "cause_name",
            "ended_by",
            "after_s",
        ),
        services=("Twilio: call",),
    ),
    *MONEY_KINDS,
    KindOfData(
        "limits",
        (_FRAUD,),
        (),
        KeptFor(KeptSpan.DAYS, "two periods of the longest limit, which is an hour or a day", 2),
        KindErasure(Fate.EXPIRES, "a keyed digest of an address or number; nothing leads to it"),
        valkey=(Key("caller:velocity<rest>", Via.DIGEST),),
        not_exported="it counts under digests, in which no person can be found",
    ),
    KindOfData(
        "tokens",
        (_PROVIDE,),
        (),
        KeptFor(KeptSpan.MINUTES, "a call must begin within it", 10, "CALLER_TOKEN_TTL_S"),
        KindErasure(Fate.EXPIRES, "only the owner of the token can find it, and only for a minute"),
        valkey=(
            Key("caller:call-token:7:<digest>", Via.NAME),
            Key("caller:supervision-grant:1:<digest>", Via.NAME),
        ),
        not_exported="it is gone before an export could be read",
    ),
    KindOfData(
        "mailboxes",
        (_PROVIDE,),
        (),
        KeptFor(KeptSpan.MINUTES, "a process that is asked for a call answers within seconds", 1),
        KindErasure(Fate.EXPIRES, "an answer lies there until it is read, ten seconds at most"),
        valkey=(Key("caller:mailbox:1:<process>", Via.NAME),),
        not_exported="it is gone before an export could be read",
    ),
    KindOfData(
        "network",
        (_FRAUD,),
        (_OPERATOR,),
        KeptFor(KeptSpan.LOGS, "addresses are only logged of peers that break a protocol"),
        KindErasure(Fate.EXPIRES, "log files are the operator's, and name no account with it"),
        logs=("peer", "source"),
        not_exported="log files name no account with an address",
    ),
    KindOfData(
        "exports",
        (_PROVIDE, _COMPLY),
        (_PERSON,),
        KeptFor(
            KeptSpan.DAYS, "the file can be fetched for seven days, the row bounds how often", 30
        ),
        _DELETED,
        sql=(
            Columns(
                "exports",
                (
                    "id",
                    "account_id",
                    "state",
                    "progress",
                    "session_digest",
                    "asked_at",
                    "tries",
                    "claimed_until",
                    "size_bytes",
                    "ended_at",
                    "expires_at",
                ),
            ),
            Columns("export_chunks", ("export_id", "number", "content"), "export_id", Via.EXPORT),
        ),
        corrected_at="/account/data",
        not_exported="it would hold the files that were made before",
    ),
)

HOSTS: Final[tuple[ContactedHost, ...]] = (
    ContactedHost("CALLER_CARRIER_URL", (_PROVIDE,), DataViewer.CARRIER),
    ContactedHost("CALLER_STRIPE_URL", (_TRANSACT,), DataViewer.PAYMENT_SERVICE),
    ContactedHost("CALLER_SMTP_URL", (_NOTIFY,), DataViewer.MAIL_SERVER),
    ContactedHost("CALLER_EVENTS_URL", (_NOTIFY,), DataViewer.SITE_OWNER),
    ContactedHost("CALLER_OTLP_URL", (_PROVIDE,), DataViewer.OPERATOR),
    ContactedHost("CALLER_DATABASE_URL", (_PROVIDE,), DataViewer.OPERATOR),
    ContactedHost("CALLER_REDIS_URL", (_PROVIDE,), DataViewer.OPERATOR),
)
"""All services that a node contacts on its own initiative."""
