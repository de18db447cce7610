"""Declares the ports of sign-up, sign-in and account pages: holders, sessions, what people decide.

Every method raises StoreUnavailableError, and is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from accounts.ceremony import Ceremony, CeremonyPurpose
from accounts.data_request import DataRequest
from accounts.erasure import Erasure, Unspent
from accounts.export import Export, ExportRefusal
from accounts.holder import Device, Holder
from accounts.link import Link
from accounts.notice import Notice
from accounts.passkey import Passkey
from accounts.personal_data import Columns, KindOfData
from accounts.second_factor import SecondFactor
from accounts.session import Session

NOBODY: Final = ""
"""The account of an unknown address. Handling it must take as much work, and fail the same way, as
for an account; otherwise addresses could be probed."""


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
    """Document -> accepted version, for such as `terms`, `privacy`, `adult`."""


@dataclass(frozen=True, slots=True)
class NewSecondFactor:
    """An app whose first code was right."""

    secret: bytes = field(repr=False)
    step: int
    """Time step of that code, which counts as used."""
    digests: Sequence[str]
    """Of its recovery codes."""


class People(Protocol):
    """The book of holders. Each change and its notices are committed together.

    Requests of a signed-in person carry the credentials epoch of their session. If that epoch is
    over, or the holder is locked, nothing changes, and the answer is None or False.
    """

    async def holder(self, account_id: str) -> Holder | None:
        """Return the holder of an account; None if there is none, or it was deleted."""

    async def holder_by_email(self, email_key: str) -> Holder | None:
        """Return the holder who has this address."""

    async def sign_up(self, new: NewHolder, notice: Notice) -> bool:
        """Create account and holder; False, and nothing changes, if the address is known."""

    async def tell(self, account_id: str, notice: Notice) -> None:
        """Queue a notice that belongs to no change.

        For NOBODY it takes the same lock, and queues nothing.
        """

    async def tell_signed_in(self, account_id: str, credentials_epoch: int, notice: Notice) -> bool:
        """Queue a notice that a signed-in person asks for."""

    async def look_at_link(self, digest: str) -> Link | None:
        """Return a link without using it; None if there is none."""

    async def prove_address(self, digest: str, password_hash: str) -> Holder | None:
        """Use a PROVE_ADDRESS link, and begin a credentials epoch; None if it does not work.

        `password_hash` is the hash that the reader's password was checked against: None also if the
        holder has another by now. Return the holder after the change.
        """

    async def reset_password(
        self, digest: str, password_hash: str, notice: Notice, language: str = ""
    ) -> Holder | None:
        """Use a RESET_PASSWORD link: set the password, unlock, begin a credentials epoch.

        The address counts as proven, because the link was read there. If no one had proven the
        account before, nothing of it is kept, and its language is set to this one. Return the
        holder after the change.
        """

    async def change_address(
        self, digest: str, credentials_epoch: int, email_key: str, notices: Sequence[Notice]
    ) -> Holder | None:
        """Use a CHANGE_ADDRESS link, for a person who has proven their identity within this epoch.

        Raises AddressTakenError: someone else has the address by now; the link is not used up.
        """

    async def undo_change(self, digest: str, email_key: str, notice: Notice) -> Holder | None:
        """Use an UNDO_CHANGE link: restore the old address, lock, begin a credentials epoch."""

    async def lock(self, digest: str, notice: Notice) -> Holder | None:
        """Use a NOT_ME link: lock, begin a credentials epoch, and restore the link's address."""

    async def use_sign_in_link(self, digest: str) -> Holder | None:
        """Use a SIGN_IN link; None if it does not work, or its holder is locked."""

    async def set_password(
        self, account_id: str, credentials_epoch: int, password_hash: str, notice: Notice
    ) -> Holder | None:
        """Set a new password, and begin a credentials epoch."""

    async def end_sessions(self, account_id: str, credentials_epoch: int) -> Holder | None:
        """Begin a credentials epoch: every earlier session is over."""

    async def rehash(self, account_id: str, old_hash: str, new_hash: str) -> None:
        """Replace a hash by one of the same password; does nothing if it has changed meanwhile."""

    async def set_language(self, account_id: str, credentials_epoch: int, language: str) -> bool:
        """Set the language of pages and mails."""

    async def note_device(self, account_id: str, device: Device, notice: Notice | None) -> bool:
        """Note a sign-in with a device; return whether it is new.

        The notice is queued for a new device, unless it is the account's first.
        """

    async def devices(self, account_id: str) -> Sequence[Device]:
        """Return an account's devices, the last seen first."""

    async def forget_device(self, account_id: str, credentials_epoch: int, device_id: str) -> bool:
        """Forget a device, so that it counts as new when it is seen again."""


class Sessions(Protocol):
    """Sessions of signed-in browsers. Only the cookie has the secret; its digest is the name."""

    async def begin(self, session: Session) -> str:
        """Store a session; return its secret."""

    async def find(self, secret: str) -> Session | None:
        """Return a session; None for unknown and ended ones. The caller judges its age."""

    async def rotate(self, secret: str, session: Session) -> str | None:
        """Replace a session and its secret in one step; None if it has ended."""

    async def was_renewed(self, secret: str) -> bool:
        """Tell whether a session has been replaced within the last minute."""

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
    """The second factors of holders. What begins a credentials epoch returns the new holder."""

    async def find(self, account_id: str) -> SecondFactor | None:
        """Return a holder's second factor."""

    async def add(
        self, account_id: str, credentials_epoch: int, new: NewSecondFactor, notice: Notice
    ) -> Holder | None:
        """Add the only one, and begin a credentials epoch; None also if there is one already."""

    async def renew_codes(
        self, account_id: str, credentials_epoch: int, digests: Sequence[str], notice: Notice
    ) -> Holder | None:
        """Replace the recovery codes, and begin an epoch; None also without a second factor."""

    async def remove(
        self, account_id: str, credentials_epoch: int, notice: Notice
    ) -> Holder | None:
        """Remove it and its recovery codes, and begin an epoch; None also if there is none."""

    async def use_step(self, account_id: str, credentials_epoch: int, step: int) -> bool:
        """Store the step of a right code; False if it or a later one was used."""

    async def use_recovery_code(
        self, account_id: str, credentials_epoch: int, digest: str, notice: Notice
    ) -> bool:
        """Use a recovery code up; False if there is no such code.

        The notice gets the value `left`.
        """


class PasskeyBook(Protocol):
    """The passkeys of holders. What begins a credentials epoch returns the new holder."""

    async def find(self, credential_id: str) -> Passkey | None:
        """Return a passkey by its id."""

    async def of_account(self, account_id: str) -> Sequence[Passkey]:
        """Return a holder's passkeys, the newest first."""

    async def add(self, passkey: Passkey, credentials_epoch: int, notice: Notice) -> Holder | None:
        """Add one, and begin an epoch. Raises PasskeyTakenError, TooManyPasskeysError."""

    async def rename(
        self, account_id: str, credentials_epoch: int, credential_id: str, name: str
    ) -> bool:
        """Rename a passkey; False if the session is over. Does nothing for one that was removed."""

    async def remove(
        self, account_id: str, credentials_epoch: int, credential_id: str, notice: Notice
    ) -> Holder | None:
        """Remove one, and begin an epoch; no epoch begins if it was already removed."""

    async def use(self, passkey: Passkey, credentials_epoch: int, before: int) -> bool:
        """Note a use; False if the epoch is over, or the count is no longer `before`."""

    async def note_counted_back(self, account_id: str, credentials_epoch: int) -> None:
        """Record that a passkey's counter has not risen."""


class Ceremonies(Protocol):
    """Ceremonies in progress. Only the browser's cookie has the secret."""

    async def begin(self, ceremony: Ceremony) -> str:
        """Store a ceremony; return its secret."""

    async def find(self, secret: str, purpose: CeremonyPurpose) -> Ceremony | None:
        """Return a ceremony of this purpose; None if it is over or unknown."""

    async def attempt(self, secret: str, purpose: CeremonyPurpose) -> tuple[Ceremony, int] | None:
        """Count a try of a ceremony; return it, and the number of tries including this one."""

    async def take(self, secret: str, purpose: CeremonyPurpose) -> Ceremony | None:
        """End a ceremony and return it; of concurrent callers only one gets it."""

    async def end(self, secret: str) -> None:
        """End a ceremony; does nothing if it is over."""


class HasherBusyError(Exception):
    """Too many passwords are waiting to be hashed; try again in some seconds."""


class AddressTakenError(Exception):
    """An address belongs to another holder, or to one who can still go back to it."""


class PasskeyTakenError(Exception):
    """A passkey with this id exists already."""


class TooManyPasskeysError(Exception):
    """A holder has the maximum number of passkeys."""


class PasswordHasher(Protocol):
    """Hashes and judges passwords off the loop, a few at a time. Raises HasherBusyError."""

    async def hash(self, password: str) -> str:
        """Return a hash with its own salt."""

    async def verify(self, password: str, stored: str) -> bool:
        """Return whether the hash is of this password; takes as long for an empty hash."""

    async def fault(self, password: str, context: Sequence[str]) -> str:
        """Return the code of what is wrong with a new password; empty if nothing is.

        `context` has what it must not be, such as its holder's address.
        """

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made with weaker parameters than the current ones."""


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
    """What one table holds of one kind: how much, and the newest rows."""

    kind: KindOfData
    columns: Columns
    count: int
    """At most the requested number."""
    newest: Sequence[Sequence[Any]]
    """In the order of the exported columns."""


class PersonalRowReader(Protocol):
    """Reads the SQL rows of a person, as the data map lists them."""

    async def count(self, kind: KindOfData, columns: Columns, account_id: str) -> int:
        """Return how many rows of a kind an account has in one table."""

    async def page(
        self,
        kind: KindOfData,
        columns: Columns,
        account_id: str,
        *,
        after: tuple[Any, ...] | None = None,
    ) -> RowPage:
        """Return an account's rows in one table that come after a place."""

    async def held(self, account_id: str, *, newest: int, count_max: int) -> Sequence[Held]:
        """Return what is stored about an account, table by table, as of one moment."""


class Exports(Protocol):
    """Exports that people have asked for, and their files."""

    async def ask(
        self, account_id: str, credentials_epoch: int, export_id: str, session_digest: str
    ) -> Export | ExportRefusal | None:
        """Queue an export; None if the session that asks is over."""

    async def of_account(self, account_id: str) -> Sequence[Export]:
        """Return an account's exports, the newest first."""

    async def note_fetched(self, account_id: str, credentials_epoch: int) -> bool:
        """Note that an export is being fetched; False if the session is over."""

    async def chunk(self, export_id: str, number: int) -> bytes | None:
        """Return a chunk of a file; None after the last one."""


@dataclass(frozen=True, slots=True)
class DataChoices:
    """What a person has entered in the form about the use of their data."""

    objects: bool
    """To the use of quality figures for improving the service."""
    restricts: bool
    """Data are to be kept and not used."""
    muted: frozenset[str]
    """Mails that are switched off."""


NO_CHOICES: Final = DataChoices(objects=False, restricts=False, muted=frozenset())
"""The choices of a new account."""


class Departures(Protocol):
    """What people decide about their data.

    What a signed-in person asks for carries the credentials epoch of their session.
    """

    async def deletion(self, account_id: str) -> Erasure | None:
        """Return an account's open deletion; None if there is none."""

    async def is_frozen_otherwise(self, account_id: str) -> bool:
        """Return whether an account is frozen for another reason than its deletion."""

    async def strongest_proof_since(self, account_id: str) -> datetime | None:
        """Return when the newest of a holder's second factor and passkeys was added."""

    async def ask_deletion(
        self,
        account_id: str,
        credentials_epoch: int,
        unspent: Unspent,
        due_at: datetime,
        notice: Notice,
    ) -> bool:
        """Note that a person leaves, and freeze the account; False if the session is over."""

    async def cancel_deletion(self, account_id: str, credentials_epoch: int) -> bool | None:
        """Keep the account after all; False if it is too late, None if the session is over."""

    async def cancel_by_link(self, digest: str) -> bool:
        """Use a CANCEL_DELETION link; False if it does not work, or no longer."""

    async def requests(self, account_id: str) -> Sequence[DataRequest]:
        """Return what a person has asked for about their data, the newest first."""

    async def choose(
        self, account_id: str, credentials_epoch: int, wishes: DataChoices
    ) -> Holder | None:
        """Store a person's choices and apply them; None if the session is over."""

    async def accepted(self, account_id: str) -> Mapping[str, str]:
        """Return document -> the version that a person accepted last."""

    async def accept(
        self, account_id: str, credentials_epoch: int, versions: Mapping[str, str]
    ) -> bool:
        """Record what a person accepts (document -> version); False if the session is over."""
