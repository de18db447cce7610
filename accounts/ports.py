"""Declares what the flows of people need: the store of holders, sessions, a password hasher.

Holds shapes only. Every method raises StoreUnavailableError, and is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from accounts.ceremony import Ceremony
from accounts.ceremony import Purpose as CeremonyPurpose
from accounts.export import Export, ExportRefusal
from accounts.holder import Device, Holder
from accounts.link import Link
from accounts.notice import Notice
from accounts.passkey import Passkey
from accounts.personal_data import Columns, Kind
from accounts.second_factor import SecondFactor
from accounts.session import Session

NOBODY: Final = ""
"""The account of an address that has none: what is done for it must be as much work, and must fail
with it, as for an account, or addresses could be tried out."""


@dataclass(frozen=True, slots=True)
class NewHolder:
    """A person who signs up."""

    account_id: str
    currency: str
    email: str = field(repr=False)
    email_key: str = field(repr=False)
    password_hash: str = field(repr=False)
    language: str
    consents: Mapping[str, str]
    """Document -> version that was accepted, such as `terms`, `privacy`, `adult`."""


@dataclass(frozen=True, slots=True)
class NewSecondFactor:
    """An app whose first code was right."""

    secret: bytes = field(repr=False)
    step: int
    """Of that code, which is used by that."""
    digests: Sequence[str]
    """Of its recovery codes."""


class People(Protocol):
    """The book of holders. Each change and its notices are committed together.

    What a signed-in person asks for carries the credentials epoch of their session. Where that is
    over, or the holder locked, nothing changes, and the answer is None or False.
    """

    async def holder(self, account_id: str) -> Holder | None:
        """Return the holder of an account; None where there is none, or it was deleted."""

    async def holder_by_email(self, email_key: str) -> Holder | None:
        """Return the holder who has this address."""

    async def sign_up(self, new: NewHolder, notice: Notice) -> bool:
        """Make account and holder; False, and nothing changes, where the address is known."""

    async def tell(self, account_id: str, notice: Notice) -> None:
        """Queue a notice that belongs to no change.

        For NOBODY it takes the same lock, and queues nothing.
        """

    async def tell_signed_in(self, account_id: str, credentials_epoch: int, notice: Notice) -> bool:
        """Queue a notice that a signed-in person asks for."""

    async def look_at_link(self, digest: str) -> Link | None:
        """Return a link without using it; None where there is none."""

    async def prove_address(self, digest: str, password_hash: str) -> Holder | None:
        """Use a PROVE_ADDRESS link, and begin a credentials epoch; None where it does not work.

        `password_hash` is what the reader's password was checked against: None also where the
        holder has another by now. Return the holder as it is then.
        """

    async def reset_password(
        self, digest: str, password_hash: str, notice: Notice, language: str = ""
    ) -> Holder | None:
        """Use a RESET_PASSWORD link: set the password, unlock, begin a credentials epoch.

        The address counts as proven: the link was read there. Of an account that nobody had proven
        nothing stays, and its language becomes this one. Return the holder as it is then.
        """

    async def change_address(
        self, digest: str, credentials_epoch: int, email_key: str, notices: Sequence[Notice]
    ) -> Holder | None:
        """Use a CHANGE_ADDRESS link, for whoever has proven within this epoch who they are.

        Raises AddressTakenError: the address became somebody else's; the link is not used up.
        """

    async def undo_change(self, digest: str, email_key: str, notice: Notice) -> Holder | None:
        """Use an UNDO_CHANGE link: the address before, locked, another credentials epoch."""

    async def lock(self, digest: str, notice: Notice) -> Holder | None:
        """Use a NOT_ME link: locked, another credentials epoch, and back at the link's address."""

    async def use_sign_in_link(self, digest: str) -> Holder | None:
        """Use a SIGN_IN link; None where it does not work, or its holder is locked."""

    async def set_password(
        self, account_id: str, credentials_epoch: int, password_hash: str, notice: Notice
    ) -> Holder | None:
        """Set another password, and begin a credentials epoch."""

    async def end_sessions(self, account_id: str, credentials_epoch: int) -> Holder | None:
        """Begin a credentials epoch: every session that began before is over."""

    async def rehash(self, account_id: str, old_hash: str, new_hash: str) -> None:
        """Replace a hash by one of the same password; does nothing if it has changed since."""

    async def set_language(self, account_id: str, credentials_epoch: int, language: str) -> bool:
        """Set the language of pages and mails."""

    async def note_device(self, account_id: str, device: Device, notice: Notice | None) -> bool:
        """Note a sign-in with a device; return whether it is new.

        The notice is queued for a new device, unless it is the account's first.
        """

    async def devices(self, account_id: str) -> Sequence[Device]:
        """Return an account's devices, the last seen first."""

    async def forget_device(self, account_id: str, credentials_epoch: int, device_id: str) -> bool:
        """Forget a device: it is unrecognised when it comes again."""


class Sessions(Protocol):
    """Sessions of signed-in browsers. A secret is in the cookie only; its digest is the name."""

    async def begin(self, session: Session) -> str:
        """Keep a session; return its secret."""

    async def find(self, secret: str) -> Session | None:
        """Return a session; None for unknown and ended ones. Its age is not judged here."""

    async def rotate(self, secret: str, session: Session) -> str | None:
        """Replace a session, and its secret, in one step; None where it has ended."""

    async def touch(self, secret: str, seen_at: datetime) -> None:
        """Note when a session was seen; it expires by itself when it has been idle too long."""

    async def end(self, secret: str) -> None:
        """End a session."""

    async def end_all(self, account_id: str, *, but: str = "") -> None:
        """End all sessions of an account, except the one with this secret."""

    async def of_account(self, account_id: str) -> Sequence[tuple[str, Session]]:
        """Return names (digests) and sessions of an account, the last seen first."""

    async def end_by_name(self, account_id: str, name: str) -> None:
        """End one session of an account by its name."""


class SecondFactors(Protocol):
    """The second factors of holders. What begins a credentials epoch returns the holder as then."""

    async def find(self, account_id: str) -> SecondFactor | None:
        """Return a holder's second factor."""

    async def add(
        self, account_id: str, credentials_epoch: int, new: NewSecondFactor, notice: Notice
    ) -> Holder | None:
        """Add the only one, and begin a credentials epoch; None also where there is one."""

    async def renew_codes(
        self, account_id: str, credentials_epoch: int, digests: Sequence[str], notice: Notice
    ) -> Holder | None:
        """Replace the recovery codes, and begin an epoch; None also without a second factor."""

    async def remove(
        self, account_id: str, credentials_epoch: int, notice: Notice
    ) -> Holder | None:
        """Remove it and its recovery codes, and begin an epoch; None also where there is none."""

    async def use_step(self, account_id: str, credentials_epoch: int, step: int) -> bool:
        """Keep the step of a right code; False where it or a later one was used."""

    async def use_recovery_code(
        self, account_id: str, credentials_epoch: int, digest: str, notice: Notice
    ) -> bool:
        """Use a recovery code up; False where there is no such. The notice is told `left`."""


class Passkeys(Protocol):
    """The passkeys of holders. What begins a credentials epoch returns the holder as then."""

    async def find(self, credential_id: str) -> Passkey | None:
        """Return whose passkey this is, and what it is."""

    async def of_account(self, account_id: str) -> Sequence[Passkey]:
        """Return a holder's passkeys, the newest first."""

    async def add(self, passkey: Passkey, credentials_epoch: int, notice: Notice) -> Holder | None:
        """Add one, and begin an epoch. Raises PasskeyTakenError, TooManyPasskeysError."""

    async def rename(
        self, account_id: str, credentials_epoch: int, credential_id: str, name: str
    ) -> bool:
        """Give one another name; False where the session is over. One that is gone stays so."""

    async def remove(
        self, account_id: str, credentials_epoch: int, credential_id: str, notice: Notice
    ) -> Holder | None:
        """Remove one, and begin an epoch; one that is gone already begins none."""

    async def use(self, passkey: Passkey, credentials_epoch: int, before: int) -> bool:
        """Note a use; False where the epoch is over, or the count was not `before` any more."""

    async def note_counted_back(self, account_id: str, credentials_epoch: int) -> None:
        """Write down that a passkey's counter has not risen."""


class Ceremonies(Protocol):
    """Ceremonies under way. A secret is in the browser's cookie only."""

    async def begin(self, ceremony: Ceremony) -> str:
        """Keep a ceremony; return its secret."""

    async def find(self, secret: str, purpose: CeremonyPurpose) -> Ceremony | None:
        """Return a ceremony of this purpose; None for one that is over, or none."""

    async def attempt(self, secret: str, purpose: CeremonyPurpose) -> tuple[Ceremony, int] | None:
        """Count a try of a ceremony; return it, and its tries with this one."""

    async def take(self, secret: str, purpose: CeremonyPurpose) -> Ceremony | None:
        """End a ceremony, and return it: once, to one of those who ask."""

    async def end(self, secret: str) -> None:
        """End a ceremony; one that is over already stays so."""


class HasherBusyError(Exception):
    """Too many passwords wait to be hashed; try again in some seconds."""


class AddressTakenError(Exception):
    """An address belongs to another holder, or to one who may still go back to it."""


class PasskeyTakenError(Exception):
    """A passkey of this id is known already."""


class TooManyPasskeysError(Exception):
    """A holder has as many passkeys as one may have."""


class PasswordHasher(Protocol):
    """Hashes and judges passwords off the loop, so many at a time. Raises HasherBusyError."""

    async def hash(self, password: str) -> str:
        """Return a hash with a salt of its own."""

    async def verify(self, password: str, stored: str) -> bool:
        """Return whether the hash is of this password; as slow for an empty hash."""

    async def fault(self, password: str, context: Sequence[str]) -> str:
        """Return the code of what is wrong with a new password; empty for nothing.

        `context` has what it must not be, such as the address of its holder.
        """

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made with weaker parameters than today's."""


class RowPage(Protocol):
    """Some rows of one table, in the order of the exported columns."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """The rows."""

    @property
    def after(self) -> tuple[Any, ...] | None:
        """Where the next page begins; None after the last one."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of one kind in one table: how much, and the newest of it."""

    kind: Kind
    columns: Columns
    count: int
    """At most what was asked for."""
    newest: Sequence[Sequence[Any]]
    """In the order of the exported columns."""


class PersonalRows(Protocol):
    """What the data map says is kept of a person in SQL."""

    async def count(self, kind: Kind, columns: Columns, account_id: str) -> int:
        """Return how many rows of a kind an account has in one table."""

    async def page(
        self,
        kind: Kind,
        columns: Columns,
        account_id: str,
        *,
        after: tuple[Any, ...] | None = None,
    ) -> RowPage:
        """Return the rows of an account in one table that come after a place."""

    async def held(self, account_id: str, *, newest: int, count_max: int) -> Sequence[Held]:
        """Return what is held of an account, table by table, as of one moment."""


class Exports(Protocol):
    """Exports that people have asked for, and their files."""

    async def ask(
        self, account_id: str, credentials_epoch: int, export_id: str, session_digest: str
    ) -> Export | ExportRefusal | None:
        """Queue an export; None where the session that asks is over."""

    async def of_account(self, account_id: str) -> Sequence[Export]:
        """Return an account's exports, the newest first."""

    async def note_fetched(self, account_id: str, credentials_epoch: int) -> bool:
        """Note that an export is fetched; False where the session is over."""

    async def chunk(self, export_id: str, number: int) -> bytes | None:
        """Return a chunk of a file; None after the last one."""
