"""Tables of the holders of accounts, for SQLite and PostgreSQL alike.

Says what is kept, not how it is used. `database/migrations/` builds these tables, and a trigger
that refuses to change the audit log. Lengths are bounded here as well as where input is read, so
that no way past a form fills the disk. Knows accounts by their id only: they are billing's.
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
    """Return a column of text that is empty where nothing is said."""
    return (
        sa.Column(name, sa.String, nullable=False, server_default=sa.text("''")),
        sa.CheckConstraint(_bounds(name, longest, 0), name=f"{name}_length"),
    )


def _bounds(name: str, longest: int, shortest: int = 1) -> str:
    return f"length({name}) BETWEEN {shortest} AND {longest}"


def _holder(*, primary_key: bool = False, index: bool = False) -> sa.Column[str]:
    """Return the reference to a holder, without whom nothing of a person may be kept."""
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
    # What the address is compared by: one mailbox, one account.
    *_text("email_key", EMAIL_KEY_MAX, shortest=3),
    sa.Column("email_proven_at", UtcDateTime),
    # With salt and parameters; empty for a person without a password.
    *_text("password_hash", HASH_MAX, shortest=0),
    # Rises with each change of credentials; sessions of an earlier one are over.
    sa.Column("credentials_epoch", sa.Integer, nullable=False),
    *_text("language", LANGUAGE_MAX, shortest=2),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("locked_at", UtcDateTime),
    # Since when the person objects to improvement, and has their data kept but not used.
    sa.Column("objected_at", UtcDateTime),
    sa.Column("restricted_at", UtcDateTime),
    # Names of mails that are switched off, with blanks between.
    sa.Column("muted", sa.String, nullable=False, server_default=sa.text("''")),
    sa.CheckConstraint(_bounds("muted", 200, 0), name="muted_length"),
    sa.UniqueConstraint("email_key"),
)
# Partial, of addresses that nobody has proven: said by the migration alone.
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

# What links a holder may still be sent: a mail may leave days after it was queued, and a link that
# a change has made stale in between must not begin to work then.
expected_links = sa.Table(
    "expected_links",
    metadata,
    _holder(primary_key=True),
    sa.Column("purpose", sa.String, primary_key=True),
    sa.Column("email", sa.String, primary_key=True),
    # Of an address that can be gone back to: nobody else gets it meanwhile. Else empty.
    *_text("email_key", EMAIL_KEY_MAX, shortest=0),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    # When neither a mail can wait for it any longer nor a link of it can work.
    sa.Column("lapses_at", UtcDateTime, nullable=False, index=True),
    sa.CheckConstraint(_bounds("purpose", NAME_MAX), name="purpose_length"),
    sa.CheckConstraint(_bounds("email", EMAIL_MAX, 3), name="email_length"),
    sa.Index(None, "email_key"),
)

links = sa.Table(
    "links",
    metadata,
    # SHA-256 of the secret, which is in the mail only.
    sa.Column("digest", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
    *_text("purpose", NAME_MAX),
    _holder(index=True),
    *_text("email", EMAIL_MAX, shortest=3),
    # When its purpose was first asked for at this address.
    sa.Column("asked_at", UtcDateTime, nullable=False),
    # From when on it takes back what was added: of its own mail, never of another's.
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
    # ISO 3166 alpha-2, by the address of the last sign-in; empty where nobody could tell.
    sa.Column("country", sa.String, nullable=False, server_default=sa.text("''")),
    sa.CheckConstraint(_bounds("country", 2, 0), name="country_length"),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False, index=True),
)

# An authenticator app, of which a holder has one at most.
second_factors = sa.Table(
    "second_factors",
    metadata,
    _holder(primary_key=True),
    # What the app shares with us, under a key that is not in the database.
    *_text("sealed_secret", HASH_MAX),
    # Of the last code that was used: no earlier one is right again.
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    _holder(primary_key=True),
    # SHA-256 of a code that was not used yet.
    sa.Column("digest", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
)

passkeys = sa.Table(
    "passkeys",
    metadata,
    # Base64url; of all holders no two have the same.
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

# The audit log: no row changes, but that its reason goes with the account, and none goes before its
# time. It outlives the holder, of whom it then says nothing but what was done.
account_events = sa.Table(
    "account_events",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_text("account_id", ID_MAX),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    *_text("act", NAME_MAX),
    *_text("actor", NAME_MAX),
    *_text_or_none("reason", REASON_MAX),
    # Who of the operators, or which API key; empty for all other actors.
    *_text_or_none("operator", NAME_MAX),
    sa.Index(None, "account_id", "id"),
    # Of lines with a reason: said by the migration alone, as in `mail_outbox`.
    sa.Index("ix_account_events_reason", "account_id"),
)

# Has a row within the transaction that forgets events whose time is up, and never else: a trigger
# refuses the deletion of events without it.
event_forgetting = sa.Table(
    "event_forgetting",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
)

# Personal data that a person has asked for, as a file in chunks: any node can hand it out, and a
# copy of the database, or its erasure, has all of it.
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
    # How often somebody began to make it; also tells one maker from the next.
    sa.Column("tries", sa.Integer, nullable=False),
    # When whoever makes it counts as dead.
    sa.Column("claimed_until", UtcDateTime),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    # When it became ready, or failed.
    sa.Column("ended_at", UtcDateTime),
    sa.Column("expires_at", UtcDateTime),
    sa.CheckConstraint("state IN ('queued', 'making', 'ready', 'expired', 'failed')", name="state"),
    sa.CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    sa.Index(None, "account_id", "asked_at"),
)
# Of those that are queued or being made: said by the migration alone.
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

# Deletions of accounts. A row outlives the holder: it tells that there is nothing to find.
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
    # Until when nobody but whoever does a step may do one.
    sa.Column("leased_until", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Index(None, "state", "due_at"),
)

# The register of what people asked for about their data: a number and dates, no person.
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

# Proof that an erased person had accepted, for whoever brings account number and address.
consent_proofs = sa.Table(
    "consent_proofs",
    metadata,
    # Of both together; neither can be read from it.
    sa.Column("digest", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
    sa.Column("document", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("document", NAME_MAX), name="document_length"),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kept_until", UtcDateTime, nullable=False, index=True),
)

# How far the mails about a version of a document have come.
policy_notices = sa.Table(
    "policy_notices",
    metadata,
    sa.Column("version", sa.String, primary_key=True),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
    # The last account that was told.
    *_text("told_to", ID_MAX, shortest=0),
    sa.Column("done_at", UtcDateTime),
)

# Which text an operator has posted as which version; what was accepted is that text for good.
posted_texts = sa.Table(
    "posted_texts",
    metadata,
    sa.Column("document", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    # Empty for the text of whoever reads none of the other languages.
    sa.Column("language", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("posted_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(_bounds("document", NAME_MAX), name="document_length"),
    sa.CheckConstraint(_bounds("version", NAME_MAX), name="version_length"),
    sa.CheckConstraint(_bounds("language", LANGUAGE_MAX, 0), name="language_length"),
    sa.CheckConstraint(_bounds("digest", DIGEST_LENGTH, DIGEST_LENGTH), name="digest_length"),
)

# The countries that a holder calls besides those that are open to everybody.
opened_countries = sa.Table(
    "opened_countries",
    metadata,
    _holder(primary_key=True),
    # ISO 3166 alpha-2.
    sa.Column("country", sa.String, primary_key=True),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(_bounds("country", 2, 2), name="country_length"),
)
