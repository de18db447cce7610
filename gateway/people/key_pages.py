"""Serves `/account/keys`: the signed-in person's API keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import Response

from billing.money import format_money
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import KEY_PREFIX, key_hash
from gateway.http.outcomes import Faults, SessionOver
from gateway.http.sessions import SignedIn
from gateway.http.site.amounts import parse_amount
from gateway.http.site.door import CONFIRM, KEYS, Door, said_in, see
from gateway.http.site.forms import read_form
from gateway.own_keys import OwnKey
from gateway.people.forms import KeyFields, NewKeyFields
from gateway.people.keys import LIFETIMES, KeyForm, KeyMade, Keys, secret_of
from gateway.scopes import PAGE, Scope

NEW: Final = f"{KEYS}/new"
SCOPES: Final = tuple(scope for scope in Scope if scope in PAGE)
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in the list."""

    id: str
    label: str
    created_at: datetime
    scopes: Sequence[str]
    """Keys of the words under `scope.`."""
    day_cap: str
    """As money; empty for none."""
    expires_at: datetime | None
    is_expired: bool


@dataclass(frozen=True, slots=True)
class KeysPage:
    """The keys of an account."""

    template: ClassVar[str] = "keys.html"
    keys: Sequence[KeyRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class NewKeyPage:
    """The form that creates a key."""

    template: ClassVar[str] = "new_key.html"
    once: str
    scopes: Sequence[str]
    """All available ones: keys of the words under `scope.`."""
    days: Sequence[int]
    label: str = ""
    chosen: frozenset[str] = frozenset()
    day_cap: str = ""
    chosen_days: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyMadePage:
    """A new key, shown this once."""

    template: ClassVar[str] = "key_made.html"
    label: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyPages:
    """Handlers of the pages of keys."""

    door: Door
    keys: Keys
    new_once: Callable[[], str]

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(KEYS, self.list_keys),
            own(NEW, self.show_form, step_up=True),
            own(NEW, self.make, method="POST", step_up=True),
            own(f"{KEYS}/revoke", self.revoke, method="POST", page=KEYS),
        ]

    async def list_keys(self, request: Request, who: SignedIn) -> Response:
        """List the keys that are not revoked."""
        found = await self.keys.standing(who)
        rows = [self._row(each, who.account.currency) for each in found]
        return self.door.show(request, KeysPage(rows, said_in(request)))

    async def show_form(self, request: Request, _who: SignedIn) -> Response:
        """Show the form of a new key."""
        # The least that a program needs; everything else is opted into.
        chosen = frozenset({Scope.CALLS.value})
        page = NewKeyPage(self.new_once(), SCOPES, tuple(LIFETIMES), chosen=chosen)
        return self.door.show(request, page)

    async def make(self, request: Request, who: SignedIn) -> Response:
        """Create a key, and show it this once."""
        fields = await read_form(request, NewKeyFields)
        if not _ONCE.fullmatch(fields.once):
            raise RequestRefusedError("bad_request", field="once")
        cap = parse_amount(fields.day_cap) if fields.day_cap.strip() else None
        if fields.day_cap.strip() and not cap:
            return self._again(request, fields, {"day_cap": "amount_invalid"})
        scopes = frozenset(scope for scope in SCOPES if getattr(fields, scope))
        # Anything that the form does not offer becomes an invalid number of days, not a key without
        # end.
        lifetimes: dict[str, int | None] = {
            "never": None,
            **{str(each): each for each in LIFETIMES},
        }
        days = lifetimes.get(fields.days, 0)
        secret = KEY_PREFIX + secret_of(who.secret, fields.once)
        outcome = await self.keys.make(
            who, KeyForm(fields.label, scopes, cap, days), secret=secret, key_hash=key_hash(secret)
        )
        match outcome:
            case KeyMade(label, made):
                # No redirect: the key would have to be stored for the next page.
                return self.door.show(request, KeyMadePage(label, made))
            case Faults(by_field):
                return self._again(request, fields, dict(by_field))
            case SessionOver():
                return await self.door.sign_in_first(request, NEW)
        return see(CONFIRM, next=NEW)

    def _again(self, request: Request, fields: NewKeyFields, errors: dict[str, str]) -> Response:
        page = NewKeyPage(
            fields.once,
            SCOPES,
            tuple(LIFETIMES),
            label=fields.label,
            chosen=frozenset(scope for scope in SCOPES if getattr(fields, scope)),
            day_cap=fields.day_cap,
            chosen_days=fields.days,
            errors=errors,
        )
        return self.door.show(request, page, status=422)

    async def revoke(self, request: Request, who: SignedIn) -> Response:
        """Revoke a key."""
        fields = await read_form(request, KeyFields)
        # PostgreSQL cannot look for text with NUL, and no key has such a name.
        key_id = "" if "\0" in fields.key_id else fields.key_id
        stood = any(each.id == key_id for each in await self.keys.standing(who))
        if isinstance(await self.keys.revoke(who, key_id), SessionOver):
            return await self.door.sign_in_first(request, KEYS)
        # No message if it was revoked already, or is someone else's.
        return see(KEYS, said="key_revoked" if stood else "")

    def _row(self, key: OwnKey, currency: str) -> KeyRow:
        cap = key.day_cap_micros
        return KeyRow(
            id=key.id,
            label=key.label,
            created_at=key.created_at,
            scopes=[scope for scope in SCOPES if scope in key.scopes],
            day_cap="" if cap is None else format_money(cap, currency),
            expires_at=key.expires_at,
            is_expired=key.expires_at is not None and key.expires_at <= self.door.clock(),
        )
