"""Tables of the holders of accounts, for SQLite and PostgreSQL alike.

`database/migrations/` builds these tables, and a trigger that refuses to change the audit log.
Lengths are bounded here as well as where input is read, so that no way past a form fills the disk.
Accounts are billing's, and referred to by their id only.
"""

from __future__ import annotations

import sqlalchemy as sa

from database.columns import NAMING_CONVENTION, UtcDateTime

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

ID_MAX = 64
EMAIL_MAX = 254
"""RFC 5321, 4.5.3.1.3: a path of 256 octets less its angle brackets."""
EMAIL_KEY_MAX = 512
"""Folding case may lengthen an address (Unicode, chapter 5.18)."""
CREDENTIAL_ID_MAX = 1364
"""1023 bytes in base64url (W3C WebAuthn Level 3, 4)."""
PUBLIC_KEY_MAX = 1368
"""1024 bytes in base64."""
HASH_MAX = 255
DIGEST_LENGTH = 64
"""SHA-256 in hexadecimal."""
LANGUAGE_MAX = 35
"""RFC 5646, 4.4.1."""
NAME_MAX = 64
REASON_MAX = 300


def _text(
    name: str, longest: int, *, shortest: int = 1
) -> tuple[sa.Column[str], sa.CheckConstraint]:
    """Return a column of text, and the constraint that bounds its characters."""
    return (
        sa.Column(name, sa.String, nullable=False),
        sa.CheckConstraint(_bounds(name, longest, shortest), name=f"{name}_length"),
    )


def _text_or_none(name: str, longest: int) -> tuple[sa.Column[str], sa.CheckConstraint]:
    """Return a column of text that may be empty."""
    return (
        sa.Column(name, sa.String, nullable=False, server_default=sa.text("''")),
        sa.CheckConstraint(_bounds(name, longest, 0), name=f"{name}_length"),
    )


def _bounds(name: str, longest: int, shortest: int = 1) -> str:
    return f"length({name}) BETWEEN {shortest} AND {longest}"


def _holder(*, primary_key: bool = False, index: bool = False) -> sa.Column[str]:
    """Return the reference to a holder, without whom no data about a person may be kept."""
    return sa.Column(
        "account_id",
        sa.ForeignKey("holders.account_id"),
        nullable=False,
        primary_key=primary_key,
        index=index or None,
    )


holders = sa.Table(
    "holders",
    metadata,
    sa.Column("account_id", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("account_id", ID_MAX), name="account_id_length"),
    *_text("email", EMAIL_MAX, shortest=3),
    # The comparison key of the address: one mailbox, one account.
    *_text("email_key", EMAIL_KEY_MAX, shortest=3),
    sa.Column("email_proven_at", UtcDateTime),
    # With salt and parameters; empty for a person without a password.
    *_text("password_hash", HASH_MAX, shortest=0),
    # Rises with each change of credentials; sessions of an earlier one are over.
    sa.Column("credentials_epoch", sa.Integer, nullable=False),
    *_text("language", LANGUAGE_MAX, shortest=2),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("locked_at", UtcDateTime),
    # Since when the person objects to improvement, and has processing restricted.
    sa.Column("objected_at", UtcDateTime),
    sa.Column("restricted_at", UtcDateTime),
    # Names of mails that are switched off, separated by blanks.
    sa.Column("muted", sa.String, nullable=False, server_default=sa.text("''")),
    sa.CheckConstraint(_bounds("muted", 200, 0), name="muted_length"),
    sa.UniqueConstraint("email_key"),
)
# Partial, for unproven addresses only: the migration alone defines that.
sa.Index("ix_holders_unproven", holders.c.created_at)

consents = sa.Table(
    "consents",
    metadata,
    _holder(primary_key=True),
    sa.Column("document", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.CheckConstraint(_bounds("document", NAME_MAX), name="document_length"),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
)

# Links that may still be mailed to a holder: a mail may leave days after it was queued, and must
# not create a link that a change has made stale in between.
expected_links = sa.Table(
    "expected_links",
    metadata,
    _holder(primary_key=True),
    sa.Column("purpose", sa.String, primary_key=True),
    sa.Column("email", sa.String, primary_key=True),
    # The key of an address that can be gone back to: no one else gets it meanwhile. Otherwise
    # empty.
    *_text("email_key", EMAIL_KEY_MAX, shortest=0),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    # When no mail can be waiting for it any longer, and none of its links can work.
    sa.Column("lapses_at", UtcDateTime, nullable=False, index=True),
    sa.CheckConstraint(_bounds("purpose", NAME_MAX), name="purpose_length"),
    sa.CheckConstraint(_bounds("email", EMAIL_MAX, 3), name="email_length"),
    sa.Index(None, "email_key"),
)

links = sa.Table(
    "links",
    metadata,
    # SHA-256 of the secret, which only the mail has.
    sa.Column("digest", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
    *_text("purpose", NAME_MAX),
    _holder(index=True),
    *_text("email", EMAIL_MAX, shortest=3),
    # When its purpose was first asked for at this address.
    sa.Column("asked_at", UtcDateTime, nullable=False),
    # The moment from which it takes back what was added, for its own mail only.
    sa.Column("reach", UtcDateTime),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    sa.Column("used_at", UtcDateTime),
)

devices = sa.Table(
    "devices",
    metadata,
    _holder(primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("id", ID_MAX), name="id_length"),
    *_text("browser", NAME_MAX, shortest=0),
    *_text("system", NAME_MAX, shortest=0),
    # ISO 3166 alpha-2, from the address of the last sign-in; empty if unknown.
    sa.Column("country", sa.String, nullable=False, server_default=sa.text("''")),
    sa.CheckConstraint(_bounds("country", 2, 0), name="country_length"),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False, index=True),
)

# An authenticator app, at most one per holder.
second_factors = sa.Table(
    "second_factors",
    metadata,
    _holder(primary_key=True),
    # The secret shared with the app, sealed under a key that is not in the database.
    *_text("sealed_secret", HASH_MAX),
    # Of the last used code: no code of it or an earlier one is accepted.
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    _holder(primary_key=True),
    # SHA-256 of an unused code.
    sa.Column("digest", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
)

passkeys = sa.Table(
    "passkeys",
    metadata,
    # Base64url; unique across all holders.
    sa.Column("credential_id", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("credential_id", CREDENTIAL_ID_MAX), name="credential_id_length"),
    _holder(index=True),
    # COSE in base64.
    *_text("public_key", PUBLIC_KEY_MAX),
    sa.Column("sign_count", sa.BigInteger, nullable=False),
    *_text("name", NAME_MAX, shortest=0),
    sa.Column("is_synced", sa.Boolean, nullable=False),
    sa.Column("is_backed_up", sa.Boolean, nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
)

# The audit log: a row never changes, except that its reason goes with the account, and none is
# deleted early. It outlives the holder, and then says only what was done.
account_events = sa.Table(
    "account_events",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_text("account_id", ID_MAX),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    *_text("act", NAME_MAX),
    *_text("actor", NAME_MAX),
    *_text_or_none("reason", REASON_MAX),
    # The operator, or the id of the API key; empty for all other actors.
    *_text_or_none("operator", NAME_MAX),
    sa.Index(None, "account_id", "id"),
    # Partial, for lines with a reason: the migration alone defines that, as in `mail_outbox`.
    sa.Index("ix_account_events_reason", "account_id"),
)

# Has a row only within the transaction that deletes old events: a trigger refuses to delete events
# without it.
event_forgetting = sa.Table(
    "event_forgetting",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
)

# Personal data that a person has asked for, as a file in chunks: any node can serve it, and a
# backup of the database, or an erasure, covers all of it.
exports = sa.Table(
    "exports",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("id", ID_MAX), name="id_length"),
    _holder(),
    sa.Column("state", sa.String, nullable=False),
    # In percent.
    sa.Column("progress", sa.Integer, nullable=False),
    # Name of the session that asked.
    *_text("session_digest", DIGEST_LENGTH, shortest=DIGEST_LENGTH),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    # How often it was begun; also distinguishes one maker from the next.
    sa.Column("tries", sa.Integer, nullable=False),
    # When its maker counts as dead.
    sa.Column("claimed_until", UtcDateTime),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    # When it became ready, or failed.
    sa.Column("ended_at", UtcDateTime),
    sa.Column("expires_at", UtcDateTime),
    sa.CheckConstraint("state IN ('queued', 'making', 'ready', 'expired', 'failed')", name="state"),
    sa.CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    sa.Index(None, "account_id", "asked_at"),
)
# Partial, for those queued or being made: the migration alone defines that.
sa.Index("ix_exports_pending", exports.c.asked_at)
sa.Index("uq_exports_under_way", exports.c.account_id, unique=True)

CHUNK_BYTES_MAX = 1024 * 1024

export_chunks = sa.Table(
    "export_chunks",
    metadata,
    sa.Column("export_id", sa.ForeignKey("exports.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.CheckConstraint(_bounds("content", CHUNK_BYTES_MAX), name="content_length"),
)

# Deletions of accounts. A row outlives the holder: it shows that there is nothing to find.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("account_id", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("account_id", ID_MAX), name="account_id_length"),
    *_text("state", NAME_MAX),
    *_text("step", NAME_MAX),
    *_text("unspent", NAME_MAX),
    *_text("actor", NAME_MAX),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    # Until when only the lease holder may do a step.
    sa.Column("leased_until", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Index(None, "state", "due_at"),
)

# The register of what people asked for about their data: a number and dates, no names.
data_requests = sa.Table(
    "data_requests",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_text("account_id", ID_MAX),
    *_text("kind", NAME_MAX),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime),
    *_text("done_by", NAME_MAX, shortest=0),
    *_text("note", 200, shortest=0),
    sa.Index(None, "account_id", "id"),
    sa.Index(None, "done_at", "due_at"),
)

# Proof that an erased person had accepted, for someone who has account number and address.
consent_proofs = sa.Table(
    "consent_proofs",
    metadata,
    # Of both together; neither can be recovered from it.
    sa.Column("digest", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
    sa.Column("document", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("document", NAME_MAX), name="document_length"),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kept_until", UtcDateTime, nullable=False, index=True),
)

# How many people have been mailed about a version of a document.
policy_notices = sa.Table(
    "policy_notices",
    metadata,
    sa.Column("version", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
    # The last account that was notified.
    *_text("told_to", ID_MAX, shortest=0),
    sa.Column("done_at", UtcDateTime),
)

# Which text an operator has posted as which version; the accepted text stays for good.
posted_texts = sa.Table(
    "posted_texts",
    metadata,
    sa.Column("document", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    # Empty for the text that is shown to readers of none of the other languages.
    sa.Column("language", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("posted_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(_bounds("document", NAME_MAX), name="document_length"),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
    sa.CheckConstraint(_bounds("language", LANGUAGE_MAX, 0), name="language_length"),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
)

# The countries that a holder may call besides those that are open to everyone.
opened_countries = sa.Table(
    "opened_countries",
    metadata,
    _holder(primary_key=True),
    # ISO 3166 alpha-2.
    sa.Column("country", sa.String, primary_key=True),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(_bounds("country", 2, 2), name="country_length"),
)
