"""Names what is written down of each change to an account or its holder, and who made it.

Holds names only; knows no store.
"""

from __future__ import annotations

from enum import StrEnum


class Act(StrEnum):
    """What was done; values are stored."""

    SIGNED_UP = "signed_up"
    ADDRESS_PROVEN = "address_proven"
    ADDRESS_CHANGED = "address_changed"
    CHANGE_UNDONE = "change_undone"
    PASSWORD_SET = "password_set"  # noqa: S105
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PASSWORD_REHASHED = "password_rehashed"  # noqa: S105
    """The same password under stronger parameters."""
    LOCKED = "locked"
    SESSIONS_ENDED = "sessions_ended"
    """Signed out everywhere, or everywhere else."""
    LANGUAGE_SET = "language_set"
    SIGNED_IN = "signed_in"
    DEVICE_ADDED = "device_added"
    """Signed in with a device for the first time."""
    DEVICE_FORGOTTEN = "device_forgotten"
    EXPORT_ASKED = "export_asked"
    EXPORT_READY = "export_ready"
    EXPORT_FETCHED = "export_fetched"
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed"
    RECOVERY_CODE_USED = "recovery_code_used"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_RENAMED = "passkey_renamed"
    PASSKEY_REMOVED = "passkey_removed"
    PASSKEY_COUNTED_BACK = "passkey_counted_back"
    """A passkey's counter has not risen; one that is bound to its device was refused."""
    KEY_MADE = "key_made"
    KEY_REVOKED = "key_revoked"
    BUTTON_MADE = "button_made"
    BUTTON_CHANGED = "button_changed"
    """Its name or its rules."""
    BUTTON_PAUSED = "button_paused"
    BUTTON_RESUMED = "button_resumed"
    BUTTON_TURNED = "button_turned"
    """It has another publishable key; the one before ends after an overlap."""
    BUTTON_CALLS_ENDED = "button_calls_ended"
    """Those that went on were ended."""
    BUTTON_DELETED = "button_deleted"
    DESTINATION_PROVEN = "destination_proven"
    """A code that was spoken to a number was typed back."""
    DESTINATION_TAKEN_BACK = "destination_taken_back"
    """The number counts as proven no more."""
    DELETION_ASKED = "deletion_asked"
    DELETION_CANCELLED = "deletion_cancelled"
    TERMS_ACCEPTED = "terms_accepted"
    CHOICES_CHANGED = "choices_changed"
    """About the use of data, and mails."""
    ERASED = "erased"
    COUNTRY_OPENED = "country_opened"
    """The account may call there; the reason is its ISO 3166 code."""
    COUNTRY_CLOSED = "country_closed"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    UNLOCKED = "unlocked"
    CREDITED = "credited"
    CARD_FORGOTTEN = "card_forgotten"
    """The saved card; with a reason where nobody asked for it."""
    AUTO_TOP_UP_ON = "auto_top_up_on"
    """The reason says how much, and below which credit."""
    AUTO_TOP_UP_CHANGED = "auto_top_up_changed"
    AUTO_TOP_UP_OFF = "auto_top_up_off"
    RULE_ALLOWED = "rule_allowed"
    """A rule of admission does not hold for the account until a moment."""
    RULE_RESTORED = "rule_restored"


class Actor(StrEnum):
    """Who did it; values are stored."""

    HOLDER = "holder"
    OPERATOR = "operator"
    KEY = "key"
    """A program with an API key of the account."""
    SERVICE = "service"
    """Nobody asked for it."""
