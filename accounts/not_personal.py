"""Lists stored or logged data that say nothing about a person, and why.

This is the rest of the data map.
"""

from __future__ import annotations

from typing import Final

from accounts.personal_data import NotPersonal

NOT_PERSONAL: Final[tuple[NotPersonal, ...]] = (
    NotPersonal(
        tuple(
            f"rate_decks.{name}"
            for name in (
                "version",
                "digest",
                "source",
                "prefixes",
                "content",
                "imported_at",
                "activates_at",
                "withdrawn_at",
            )
        ),
        "prices by leading digits, the same for everyone",
    ),
    NotPersonal(
        tuple(f"high_risk_lists.{name}" for name in ("version", "content", "synced_at")),
        "leading digits where fraud goes, the same for everyone",
    ),
    NotPersonal(
        tuple(
            f"partitions.{name}"
            for name in ("partition", "drained_count", "drained_at", "booked_id", "fork_id")
        ),
        "how far the outbox of a partition is booked",
    ),
    NotPersonal(
        tuple(f"duties.{name}" for name in ("name", "holder", "held_until", "done_at")),
        "which process does a daily duty",
    ),
    NotPersonal(
        tuple(
            f"log:{name}"
            for name in (
                "abandoned",
                "age_s",
                "calls",
                "characters",
                "count",
                "dropped",
                "entries",
                "failures",
                "faults",
                "forgotten",
                "found",
                "granted",
                "prefixes",
                "rejected",
                "strangers_max",
                "timeout_s",
                "wait_s",
                "waited_s",
                "waiting",
            )
        ),
        "counts and durations of a whole process",
    ),
    NotPersonal(
        tuple(
            f"log:{name}"
            for name in (
                "alarm",
                "beyond",
                "carrier_code",
                "carrier_text",
                "code",
                "event_id",
                "failure",
                "file",
                "hint",
                "http_status",
                "kind",
                "limit",
                "log_level",
                "node",
                "nodes",
                "of_node",
                "part",
                "partition",
                "partitions",
                "question",
                "reason",
                "received",
                "report",
                "request_id",
                "result",
                "rights",
                "role",
                "smtp_code",
                "state",
                "status",
                "subject",
                "task",
                "version",
                "what",
                "where",
                "why",
            )
        ),
        "names of parts of the program, and codes of what failed",
    ),
    NotPersonal(("event_forgetting.id",), "that old lines of the audit log are being deleted"),
    NotPersonal(
        ("sent_forms.digest", "sent_forms.at"),
        "that a form was received, by a digest of a random word in it, for a week",
    ),
    NotPersonal(("alembic_version.version_num",), "which release made the tables"),
    NotPersonal(
        tuple(f"policy_notices.{name}" for name in ("version", "told_to", "done_at")),
        "how far the mails about a new version have come",
    ),
    NotPersonal(
        tuple(
            f"posted_texts.{name}"
            for name in ("document", "version", "language", "digest", "posted_at")
        ),
        "which text of the operator was posted as which version, the same for everyone",
    ),
    NotPersonal(("caller:lease:<node>", "caller:leases"), "which processes are alive"),
    NotPersonal(("caller:node:1:<node>", "caller:nodes"), "how full each node is"),
    NotPersonal(
        ("caller:alarms:1", "caller:alarm-holder:1"),
        "which alarms are active, and which process sends them",
    ),
    NotPersonal(("caller:alarm-orders:1",), "which key of operators silenced which alarm, and why"),
    NotPersonal(("caller:minutes:1",), "how many calls there were, and how they sounded, in all"),
    NotPersonal(("caller:audited:1",), "how the last audit ended: counts only"),
    NotPersonal(("caller:drained",), "when the outbox was last empty"),
    NotPersonal(
        ("caller:unnamed-proxy",), "the private address of a proxy that all requests come through"
    ),
    NotPersonal(("caller:aof-rewritten",), "when the files of Valkey were last rewritten"),
    NotPersonal(("caller:key-epoch",), "a random word for all accounts together"),
    NotPersonal(
        ("caller:challenges-given:1:<digest>:<minute>",),
        "how many challenges of a publishable key were given within a minute in a network, and in "
        "the range around it (/16, /32), by digests of the day",
    ),
    NotPersonal(
        ("caller:refused-visitors:1:<button>:<day>",),
        "how many visitors a button has refused on a day, by reason, of all visitors together",
    ),
    NotPersonal(
        ("caller:wish:1:<digest>",),
        "that something was made by an idempotency key, for a day: keyed digests of which key of "
        "which account, and of what was said; of a form, the page that it led to, and for half a "
        "minute, sealed, the cookies of its answer",
    ),
    NotPersonal(("caller:button-era:1:<button>",), "a random word, by which its calls end"),
    NotPersonal(("caller:ghosts",), "carrier calls that belong to no call here, for some minutes"),
)
