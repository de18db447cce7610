"""Serves live calls as Server-Sent Events: `/v1/live-feed` and `/v1/admin/live-feed`.

A viewer's rights are checked again as long as they watch. `monitor` decides what they see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http import problems
from gateway.http.access import DeclaredRoute
from gateway.http.admin_routes import ADMIN, AdminRoutes
from gateway.http.bearer import Authenticator
from gateway.http.operation import EVENT_STREAM, operation
from gateway.http.principal import Principal
from gateway.ports import KeyEpochs
from gateway.scopes import Scope as KeyScope
from gateway.sockets.stream import HAND_OVER, Stream
from gateway.watching.channel import Audience
from gateway.watching.feed import AccountFullError, Feed, FeedFullError, Viewer
from gateway.watching.feed_events import EVENTS

OWN: Final = "/v1/live-feed"
ALL: Final = f"{ADMIN}/live-feed"
CALL_ID_CHARS_MAX: Final = 64
LOOKS: Final = 5
"""Looks, one a second, within which each viewer's rights are checked."""
ASKED_AT_ONCE: Final = 20
SERVED_AT_ONCE: Final = 40
"""Viewers that are served before the loop does other work: a millisecond."""
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"origin", b"sec-fetch-site"})
_FULL: Final = ("too_many_viewers", "feed_full")

log = structlog.get_logger(__name__)

Authorise = Callable[[Request], Awaitable[Principal]]
"""Returns whom a request is from. Raises RequestRefusedError, StoreUnavailableError."""


@dataclass(frozen=True, slots=True)
class _Watcher:
    """By what right a viewer watches: equal for all with the same credentials, and checked once.

    If each were checked, one revoked key would count as fifty wrong ones of its address.
    """

    client: tuple[str, int] | None
    headers: tuple[tuple[bytes, bytes], ...]
    """Of its request only the credentials, which are kept for as long as it watches."""
    authorise: Authorise
    account_id: str

    async def refusal(self) -> str:
        """Return the code of why it may no longer watch; empty if it may, or that is unknown."""
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
        request = Request({**scope, "client": self.client, "headers": self.headers})
        try:
            principal = await self.authorise(request)
        except RequestRefusedError as error:
            return error.code
        except StoreUnavailableError:
            return ""
        return "" if principal.account.id == self.account_id else "unauthorized"


@dataclass(slots=True)
class LiveFeed:
    """The viewers of this process, and their connections."""

    feed: Feed
    new_stream: Callable[[], Stream]
    """Creates the protocol that takes over a viewer's connection."""
    epochs: KeyEpochs
    clock_ns: Callable[[], int]
    clock: Clock
    _watchers: dict[Viewer, _Watcher] = field(default_factory=dict, init=False)
    _epoch: str = field(default="", init=False)
    _look: int = field(default=0, init=False)

    def watch(
        self, request: Request, authorise: Authorise, principal: Principal, audience: Audience
    ) -> Response:
        """Return the response that turns a request into a stream. Raises RequestRefusedError."""
        try:
            self.feed.check_room(audience)
        except AccountFullError:
            raise RequestRefusedError("too_many_viewers") from None
        except FeedFullError:
            raise RequestRefusedError("feed_full") from None
        last = request.headers.get("last-event-id", "")
        client, fields = request.scope["client"], request.scope["headers"]
        credentials = tuple(each for each in fields if each[0] in _CREDENTIALS)
        watcher = _Watcher(client, credentials, authorise, principal.account.id)
        return _StreamResponse(self.new_stream, partial(self._join, audience, last, watcher))

    def _join(
        self, audience: Audience, last_event_id: str, watcher: _Watcher, stream: Stream
    ) -> None:
        now_ns = self.clock_ns()
        try:
            viewer = self.feed.join(audience, last_event_id, stream, now_ns, self.clock())
        except FeedFullError:
            # Others took the last place meanwhile.
            stream.abort()
            return
        self._watchers[viewer] = watcher
        stream.on_close = partial(self._leave, viewer)

    def _leave(self, viewer: Viewer) -> None:
        self._watchers.pop(viewer, None)
        self.feed.leave(viewer, self.clock_ns())

    def serve_turn(self, turn: int) -> None:
        """Serve the viewers whose turn it is, a few before the loop goes on."""
        self._serve(iter(self.feed.viewers(turn)))

    def _serve(self, viewers: Iterator[Viewer]) -> None:
        now_ns, at = self.clock_ns(), self.clock()
        for _ in range(SERVED_AT_ONCE):
            viewer = next(viewers, None)
            if viewer is None:
                return
            self.feed.serve(viewer, now_ns, at)
        asyncio.get_running_loop().call_soon(self._serve, viewers)

    async def look_at_rights(self) -> None:
        """End the streams of viewers who may no longer watch; runs once a second.

        All are checked if a key or an account has changed, otherwise a part of them.
        """
        try:
            epoch = await self.epochs.current()
        except StoreUnavailableError:
            return
        self._look += 1
        viewers = list(self._watchers)
        if epoch == self._epoch:
            # By a number that stays with each viewer: when some leave, the others' positions
            # change.
            viewers = [each for each in viewers if each.turn % LOOKS == self._look % LOOKS]
        self._epoch = epoch
        viewers.sort(key=lambda each: self._watchers[each].account_id)
        for begin in range(0, len(viewers), ASKED_AT_ONCE):
            await self._ask_about(viewers[begin : begin + ASKED_AT_ONCE])

    async def _ask_about(self, viewers: Sequence[Viewer]) -> None:
        watchers = {self._watchers[each] for each in viewers if each in self._watchers}
        refusals = await asyncio.gather(*(watcher.refusal() for watcher in watchers))
        refused = dict(zip(watchers, refusals, strict=True))
        for viewer in viewers:
            watcher = self._watchers.get(viewer)
            if watcher is not None and (code := refused.get(watcher)):
                self.feed.end(viewer, code)

    async def close(self) -> None:
        """Close all streams."""
        self.feed.close()


class FeedAsked(msgspec.Struct, kw_only=True):
    """What a stream covers."""

    call: Annotated[str, msgspec.Meta(min_length=1, max_length=CALL_ID_CHARS_MAX)] | None = None
    """Id of the one call, which comes with its samples; left out for all."""


@dataclass(frozen=True, slots=True)
class OwnFeedApi:
    """Handler of the streams of accounts."""

    auth: Authenticator
    live: LiveFeed

    def routes(self) -> list[DeclaredRoute]:
        """Return the stream's route."""
        return self.auth.serve(self)

    @operation(
        f"GET {OWN}",
        KeyScope.CALLS,
        str,
        query=FeedAsked,
        problems=_FULL,
        media_type=EVENT_STREAM,
        events=EVENTS,
    )
    async def watch_live_calls(self, request: Request, principal: Principal) -> Response:
        """Stream the calls of the requesting account.

        Server-Sent Events (WHATWG HTML, 9.2), which do not end.
        """
        audience = Audience(principal.account.id, _call_in(request))
        return self.live.watch(request, self._may_watch, principal, audience)

    async def _may_watch(self, request: Request) -> Principal:
        return await self.auth.principal(request, KeyScope.CALLS)


@dataclass(frozen=True, slots=True)
class FleetFeedApi:
    """Handler of the streams of operators."""

    routing: AdminRoutes
    live: LiveFeed

    def routes(self) -> list[DeclaredRoute]:
        """Return the stream's route."""
        return self.routing.serve(self)

    @operation(
        f"GET {ALL}",
        KeyScope.ADMIN,
        str,
        query=FeedAsked,
        problems=_FULL,
        media_type=EVENT_STREAM,
        events=EVENTS,
    )
    async def watch_all_live_calls(self, request: Request, principal: Principal) -> Response:
        """Stream all live calls.

        Server-Sent Events (WHATWG HTML, 9.2), which do not end.
        """
        audience = Audience(None, _call_in(request))
        return self.live.watch(request, self._may_watch, principal, audience)

    async def _may_watch(self, request: Request) -> Principal:
        self.routing.check_network(request)
        return await self.routing.auth.principal(request, KeyScope.ADMIN)


class _StreamResponse(Response):
    """An answer that does not end: a `Stream` takes over the connection."""

    def __init__(self, new_stream: Callable[[], Stream], begin: Callable[[Stream], None]) -> None:
        super().__init__()
        self._new_stream = new_stream
        self._begin = begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            response = Response(media_type="text/event-stream")
            await response(scope, receive, send)
            return
        stream = self._new_stream()
        if scope["extensions"][HAND_OVER](stream):
            self._begin(stream)
        else:
            # The peer is gone, or has sent more on a connection that must carry nothing else.
            await problems.problem("bad_request")(scope, receive, send)


def _call_in(request: Request) -> str | None:
    """Return the call that a stream covers. Raises RequestRefusedError."""
    call_id: str | None = request.query_params.get("call")
    if call_id is not None and not 0 < len(call_id) <= CALL_ID_CHARS_MAX:
        raise RequestRefusedError("bad_request", field="call")
    return call_id
