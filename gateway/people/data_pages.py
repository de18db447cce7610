"""Serves `/account/data`: all data about a person, and a file of them.

The data map and its words say what that can be, and what it is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from accounts.export import Export, ExportRefusal
from accounts.personal_data import KindOfData
from accounts.ports import Held, PersonalRowReader
from billing.money import in_units
from gateway.data_map import KINDS
from gateway.http.access import DeclaredRoute
from gateway.http.outcomes import SessionOver, StepUpNeeded
from gateway.http.problems import Json
from gateway.http.sessions import BrowserSessions, SignedIn
from gateway.http.site.door import ACCOUNT, CONFIRM, Door, language_of, said_in, see
from gateway.http.site.forms import Nothing, read_form
from gateway.http.site.rendering import HEADERS
from gateway.people.exports import NotThere, OwnExports
from gateway.words.data_map import Kept, list_in, period_in, words_in

DATA: Final = f"{ACCOUNT}/data"
NEWEST: Final = 3
"""Entries shown of each table; the file has all."""
COUNT_MAX: Final = 10_000
"""How far entries are counted for a page."""
EXPORTS_SHOWN: Final = 5
TEXT_MAX: Final = 60
"""Characters shown of one value; figures of quality are some hundreds."""
_SESSIONS: Final = "sessions"
_MICROS: Final = "micros"


@dataclass(frozen=True, slots=True)
class DataField:
    """One value of an entry, as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DataKind:
    """What is stored of one kind."""

    name: str
    title: str
    what: str
    purposes: str
    period: str
    viewers: str
    count: int
    has_more: bool
    """Whether there are more than are counted."""
    newest: Sequence[Sequence[DataField]]
    corrected_at: str
    """Path of the page where it is corrected; empty if it records what has happened."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A requested export."""

    id: str
    state: str
    progress: int
    asked_at: datetime
    expires_at: datetime | None
    megabytes: str


@dataclass(frozen=True, slots=True)
class DataPage:
    """All data about a person, and how to take them with them."""

    template: ClassVar[str] = "data.html"
    kinds: Sequence[DataKind]
    others: Sequence[DataKind]
    """Kinds that no account leads to, or that are in no export, each explained."""
    exports: Sequence[ExportRow]
    said: str = ""


@dataclass(frozen=True, slots=True)
class DataPages:
    """Handlers of a person's own data."""

    door: Door
    rows: PersonalRowReader
    sessions: BrowserSessions
    exports: OwnExports
    kept: Kept

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        own = self.door.own
        return [
            own(DATA, self.show, before_terms=True),
            own(f"{DATA}.json", self.tell, page=DATA, before_terms=True),
            own(
                f"{DATA}/export",
                self.ask,
                method="POST",
                step_up=True,
                page=DATA,
                before_terms=True,
            ),
            own(f"{DATA}/export/{{export_id}}", self.fetch, page=DATA, before_terms=True),
        ]

    async def show(self, request: Request, who: SignedIn) -> Response:
        """Show what is stored, kind by kind, and the exports."""
        kinds = await self._kinds(who, language_of(request))
        shown = {kind.name for kind in kinds}
        words = words_in(language_of(request))
        page = DataPage(
            kinds,
            [
                kind_in(words, kind, self.kept)
                for kind in KINDS
                if kind.name not in shown and not kind.is_exported
            ],
            [_row(each) for each in (await self.exports.of(who))[:EXPORTS_SHOWN]],
            said_in(request),
        )
        return self.door.show(request, page)

    async def tell(self, request: Request, who: SignedIn) -> Response:
        """Return the same to a program, as JSON."""
        kinds = await self._kinds(who, language_of(request))
        body = {
            "account": who.account.id,
            "kinds": [
                {
                    **{name: getattr(kind, name) for name in ("name", "title", "what", "period")},
                    "count": kind.count,
                    "has_more": kind.has_more,
                    "newest": [{field.name: field.value for field in e} for e in kind.newest],
                }
                for kind in kinds
            ],
        }
        return Json(body, headers=dict(HEADERS))

    async def ask(self, request: Request, who: SignedIn) -> Response:
        """Request an export."""
        await read_form(request, Nothing)
        match await self.exports.ask(who):
            case ExportRefusal() as refused:
                return see(DATA, said=refused.value)
            case SessionOver():
                return await self.door.sign_in_first(request, DATA)
            case StepUpNeeded():
                return see(CONFIRM, next=DATA)
        return see(DATA, said="export_asked")

    async def fetch(self, request: Request, who: SignedIn) -> Response:
        """Send an export's file."""
        match await self.exports.fetch(who, request.path_params["export_id"]):
            case NotThere():
                return see(DATA, said="export_gone")
            case SessionOver():
                return await self.door.sign_in_first(request, DATA)
            case StepUpNeeded():
                return see(CONFIRM, next=DATA)
            case export:
                # Without the person's name: the file may lie beside others.
                name = f'attachment; filename="data-{export.asked_at:%Y-%m-%d}.zip"'
                headers = {"Content-Disposition": name, "Content-Length": str(export.size_bytes)}
                return StreamingResponse(
                    self.exports.content(export),
                    media_type="application/zip",
                    headers={**HEADERS, **headers},
                )

    async def _kinds(self, who: SignedIn, language: str) -> Sequence[DataKind]:
        """Return what is stored, kind by kind."""
        account_id = who.session.account_id
        held = await self.rows.held(account_id, newest=NEWEST, count_max=COUNT_MAX + 1)
        found: dict[str, list[Held]] = {}
        for each in held:
            found.setdefault(each.kind.name, []).append(each)
        words = words_in(language)
        sessions = [
            (("began_at", each.session.began_at), ("seen_at", each.session.seen_at))
            for each in await self.sessions.open(who)
        ]
        shown = []
        for kind in KINDS:
            if kind.name == _SESSIONS:
                count = len(sessions)
                newest = [_fields(words, entry) for entry in sessions[:NEWEST]]
            elif kind.name in found:
                count = sum(each.count for each in found[kind.name])
                newest = [
                    _fields(words, zip(each.columns.exported, row, strict=True))
                    for each in found[kind.name]
                    for row in each.newest
                ]
            else:
                continue
            shown.append(kind_in(words, kind, self.kept, count=count, newest=newest))
        return shown


def kind_in(
    words: Mapping[str, str],
    kind: KindOfData,
    kept: Kept,
    *,
    count: int = 0,
    newest: Sequence[Sequence[DataField]] = (),
) -> DataKind:
    """Return a kind in the words of a language."""
    return DataKind(
        name=kind.name,
        title=words[f"kind.{kind.name}"],
        what=words[f"what.{kind.name}"],
        purposes=list_in(words, "purpose", kind.purposes),
        period=period_in(words, kind.period, kept),
        viewers=list_in(words, "viewer", kind.seen_by) or words["viewer.nobody"],
        count=min(count, COUNT_MAX),
        has_more=count > COUNT_MAX,
        newest=newest,
        corrected_at="" if kind.corrected_at == ACCOUNT else kind.corrected_at,
    )


def _row(export: Export) -> ExportRow:
    return ExportRow(
        id=export.id,
        state=export.state.value,
        progress=export.progress,
        asked_at=export.asked_at,
        expires_at=export.expires_at,
        megabytes=f"{max(0.1, export.size_bytes / 1e6):.1f}",
    )


def _fields(words: Mapping[str, str], values: Iterable[tuple[str, Any]]) -> Sequence[DataField]:
    """Return an entry's values that are not empty, in readable form."""
    return [
        DataField(words.get(f"field.{name}", name), _shown(words, name, value))
        for name, value in values
        if value not in (None, "")
    ]


def _shown(words: Mapping[str, str], name: str, value: object) -> str:
    match value:
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M UTC")
        case bool():
            return words["value.yes" if value else "value.no"]
        case int() if name.endswith(_MICROS):
            return in_units(value)
    text = str(value)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}…"
