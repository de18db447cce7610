"""Who may watch live calls, for how long, and whose: through the application, without a socket."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import Authenticator, key_hash
from gateway.http.cookies import Cookies
from gateway.http.holders import Holders
from gateway.nanoseconds import SECOND_NS
from gateway.problems import PROBLEMS
from gateway.scopes import PAGE, Scope
from gateway.sockets.stream import HAND_OVER
from gateway.watching import feed as feed_module
from gateway.watching import live_feed
from gateway.watching.board import Board
from gateway.watching.feed import ACCOUNT_VIEWERS_MAX, TURNS, Feed
from gateway.watching.live_feed import ALL, LOOKS, OWN, FleetFeedApi, LiveFeed, OwnFeedApi
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import NOW, Account, Accounts, Epochs
from tests.gateway.people.memory import World
from tests.gateway.watching.played import SOUND, Screen, batch_of, row_of, shown

ORIGIN = "https://calls.example.com"
KEYS = {
    "ck_alice": Account("alice", key_id="k1", scopes=PAGE),
    "ck_bob": Account("bob", key_id="k2", scopes=PAGE),
    "ck_books": Account("alice", key_id="k3", scopes=frozenset({Scope.RECORDS})),
    "ck_operator": Account("operators", key_id="k4", scopes=frozenset({Scope.ADMIN})),
}


class Connection(Screen):
    """A viewer's connection, which ends when it is closed."""

    def close(self):
        super().close()
        self.ends()

    def abort(self):
        super().abort()
        self.ends()

    def ends(self):
        on_close, self.on_close = self.on_close, lambda: None
        on_close()


class Server:
    """The port in front of an application: gives connections away, unless the peer is gone."""

    def __init__(self, app):
        self.app, self.given, self.is_gone = app, [], False

    async def __call__(self, scope, receive, send):
        given = []

        def hand_over(successor):
            if not self.is_gone:
                given.append(successor)
            return not self.is_gone

        await self.app({**scope, "extensions": {HAND_OVER: hand_over}}, receive, send)
        self.given += given
        if given:
            # httpx takes no request for answered otherwise.
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body"})


class House:
    """Two accounts with keys, an operator, and somebody who may be signed in."""

    def __init__(self, networks=()):
        self.now_ns, self.now = 5 * SECOND_NS, NOW
        self.accounts, self.epochs, self.world = Accounts(), Epochs(), World()
        for key, account in KEYS.items():
            self.accounts.by_hash[key_hash(key)] = account
        holders = Holders(self.world.browsers, Cookies(ORIGIN), frozenset({ORIGIN}))
        auth = Authenticator(
            self.accounts,
            self.epochs,
            Velocity(),
            lambda: self.now_ns,
            lambda: self.now,
            holders=holders,
        )
        self.board = Board()
        self.feed = Feed(self.board, "e1")
        self.live = LiveFeed(
            self.feed, Connection, self.epochs, lambda: self.now_ns, lambda: self.now
        )
        own = OwnFeedApi(auth, self.live)
        fleet = FleetFeedApi(AdminRoutes(auth, networks), self.live)
        self.server = Server(create_app([*own.routes(), *fleet.routes()]))

    def hears(self, *rows, **batch):
        self.board.apply(batch_of(*rows, **batch), self.now_ns, self.now)
        self.feed.update(self.now_ns, self.now)
        for viewer in self.feed.viewers():
            self.feed.serve(viewer, self.now_ns, self.now)

    async def asks(
        self, path=OWN, key="ck_alice", method="GET", client=("192.0.2.1", 9), **headers
    ):
        """Return the status and the code of the refusal; 299 where the connection is given away."""
        if key:
            headers["authorization"] = f"Bearer {key}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.server, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            self.reply = await http.request(method, path, headers=named)
        status = self.reply.status_code
        return status, self.reply.json()["code"] if status >= 400 and self.reply.content else ""

    async def watches(self, path=OWN, key="ck_alice", **headers):
        """Return the connection of somebody who may watch."""
        assert await self.asks(path, key, **headers) == (299, "")
        return self.server.given[-1]

    async def signs_in(self, account_id="ada"):
        self.world.add(account_id)
        who = await self.world.enter()
        return who.secret, f"__Host-caller={who.secret}"

    def changes(self, key, account):
        """Change a key, and end the epoch, as every change must."""
        self.accounts.by_hash.pop(key_hash(key), None)
        if account is not None:
            self.accounts.by_hash[key_hash(key)] = account
        self.epochs.epoch += "."

    async def looks(self, count=1):
        for _ in range(count):
            await self.live.look_at_rights()


@pytest.fixture
def house():
    return House()


def ended(connection):
    """Return the code that a connection was ended for; None where it is open."""
    if not connection.is_closed:
        return None
    kind, data = connection.events[-1]
    return data["code"] if kind == "end" else ""


# Who may begin.


@pytest.mark.parametrize(
    ("path", "key", "refusal"),
    [
        (OWN, "", (401, "unauthorized")),
        (OWN, "ck_wrong", (401, "unauthorized")),
        (OWN, "ck_books", (403, "scope_missing")),
        (OWN, "ck_operator", (403, "scope_missing")),
        (ALL, "", (401, "unauthorized")),
        (ALL, "ck_wrong", (401, "unauthorized")),
        (ALL, "ck_alice", (403, "scope_missing")),
        (ALL, "ck_books", (403, "scope_missing")),
        (f"{OWN}?call=", "ck_alice", (400, "bad_request")),
        (f"{OWN}?call={'c' * 65}", "ck_alice", (400, "bad_request")),
        (f"{ALL}?call=", "ck_operator", (400, "bad_request")),
    ],
)
async def test_who_may_not_watch_is_told_why_and_gets_nothing(house, path, key, refusal):
    house.hears(row_of())
    assert await house.asks(path, key) == refusal
    assert house.server.given == []
    assert len(house.feed) == 0


async def test_who_may_watch_sees_what_is_theirs(house):
    house.hears(row_of("a1", "alice"), row_of("b1", "bob"))
    alice, bob = await house.watches(), await house.watches(key="ck_bob")
    operator = await house.watches(ALL, "ck_operator")
    house.hears(row_of("a2", "alice"), row_of("b2", "bob"))
    assert set(alice.calls) == {"a1", "a2"}
    assert set(bob.calls) == {"b1", "b2"}
    assert set(operator.calls) == {"a1", "a2", "b1", "b2"}
    assert [each.events[0][1]["audience"] for each in (alice, bob, operator)] == [
        "account",
        "account",
        "all",
    ]
    for connection, other in ((alice, b"bob"), (bob, b"alice")):
        assert other not in b"".join(connection.texts)


async def test_whoever_is_signed_in_watches_their_account_and_never_all(house):
    house.hears(row_of("a1", "ada"), row_of("b1", "bob"))
    _, cookie = await house.signs_in()
    connection = await house.watches(key="", cookie=cookie)
    assert set(connection.calls) == {"a1"}
    assert await house.asks(ALL, "", cookie=cookie) == (403, "scope_missing")
    assert (await house.asks(OWN, "ck_alice", cookie=cookie))[1] == "two_credentials"


async def test_another_site_does_not_change_what_a_stream_may_do(house):
    """It can begin one, as it can send any GET, and read nothing: no answer says CORS."""
    _, cookie = await house.signs_in()
    status, _ = await house.asks(
        key="", cookie=cookie, origin="https://evil.example", sec_fetch_site="cross-site"
    )
    assert status in {299, 403}
    assert "access-control-allow-origin" not in house.reply.headers


async def test_a_call_of_another_account_is_as_one_that_is_not(house):
    house.hears(row_of("b1", "bob"), sounds={"b1": SOUND})
    texts = []
    for call_id in ("b1", "xx"):
        connection = await house.watches(f"{OWN}?call={call_id}")
        for _ in house.feed.refresh(house.now_ns, house.now):
            pass
        house.hears(row_of("b1", "bob", state="held"), sounds={"b1": SOUND})
        assert (connection.calls, connection.samples) == ({}, {})
        texts.append([data for _, data in connection.events])
    assert texts[0] == texts[1]
    assert (await house.watches(f"{OWN}?call=b1", "ck_bob")).calls.keys() == {"b1"}
    assert (await house.watches(f"{ALL}?call=b1", "ck_operator")).calls.keys() == {"b1"}


@pytest.mark.parametrize(
    ("address", "is_let_in"),
    [("192.0.2.77", True), ("::ffff:192.0.2.77", True), ("198.51.100.1", False), ("", False)],
)
async def test_an_operators_key_is_good_from_its_networks_alone(address, is_let_in):
    house = House(networks=("192.0.2.0/24",))
    asked = await house.asks(ALL, "ck_operator", client=(address, 9))
    assert asked == ((299, "") if is_let_in else (403, "network_refused"))
    assert len(house.feed) == is_let_in
    await house.looks(LOOKS + 1)
    assert len(house.feed) == is_let_in, "it is known by its address as long as it watches"


async def test_a_head_request_is_answered_and_watches_nothing(house):
    assert await house.asks(method="HEAD") == (200, "")
    assert house.reply.headers["content-type"].startswith("text/event-stream")
    assert await house.asks(method="HEAD", key="ck_wrong") == (401, "")
    assert len(house.feed) == 0


async def test_nothing_else_is_done_with_a_stream(house):
    for method in ("POST", "PUT", "DELETE"):
        assert (await house.asks(method=method))[0] == 405


async def test_who_is_gone_before_its_answer_watches_nothing(house):
    house.server.is_gone = True
    assert (await house.asks())[0] == 400
    assert len(house.feed) == 0
    assert house.live._watchers == {}


# How many.


async def test_an_account_watches_in_so_many_places_and_others_as_before(house):
    connections = [await house.watches() for _ in range(ACCOUNT_VIEWERS_MAX)]
    assert await house.asks() == (429, "too_many_viewers")
    assert house.reply.headers["retry-after"] == "5"
    assert await house.asks(f"{OWN}?call=c1") == (429, "too_many_viewers")
    await house.watches(key="ck_bob")
    connections[0].ends()
    await house.watches()


async def test_a_full_process_says_so(house, monkeypatch):
    monkeypatch.setattr(feed_module, "VIEWERS_MAX", 1)
    connection = await house.watches()
    assert await house.asks(key="ck_bob") == (503, "feed_full")
    assert await house.asks(ALL, "ck_operator") == (503, "feed_full")
    connection.ends()
    await house.watches(key="ck_bob")


async def test_of_two_who_come_at_once_for_one_place_one_is_cut_off(house, monkeypatch):
    monkeypatch.setattr(feed_module, "VIEWERS_MAX", 1)
    check, checks = house.feed.check_room, []

    def late(audience):
        # As if the other came between the answer to the request and the connection.
        checks.append(audience)
        if len(checks) > 1:
            check(audience)

    await house.watches()
    monkeypatch.setattr(house.feed, "check_room", late)
    second = await house.watches(key="ck_bob")
    assert second.is_aborted
    assert len(house.feed) == len(house.live._watchers) == 1


# Where somebody goes on.


async def test_a_browser_that_comes_back_goes_on_where_it_was(house):
    house.hears(row_of("a1"))
    first = await house.watches()
    house.hears(row_of("a2"))
    first.ends()
    house.hears(row_of("a3"))
    second = await house.watches(last_event_id=first.last_event_id)
    assert [kind for kind, _ in second.events] == ["delta"]
    assert second.events[0][1]["calls"][0]["id"] == "a3"
    again = await house.watches(last_event_id=second.last_event_id)
    assert again.events == []


@pytest.mark.parametrize("last", ["", "x", "e1.1:99", "e1.1:-1", "other:0", "e1.1:" + "9" * 9_000])
async def test_what_no_stream_has_said_is_answered_with_a_snapshot(house, last):
    house.hears(row_of("a1"))
    await house.watches()
    house.hears(row_of("a2"))
    connection = await house.watches(last_event_id=last)
    assert [kind for kind, _ in connection.events] == ["snapshot"]
    assert connection.calls == shown(*house.board.rows("alice"))


async def test_a_place_in_another_accounts_stream_shows_nothing_of_it(house):
    bob = await house.watches(key="ck_bob")
    for n in range(3):
        house.hears(row_of(f"b{n}", "bob"))
    alice = await house.watches(last_event_id=bob.last_event_id)
    operator = await house.watches(ALL, "ck_operator", last_event_id=bob.last_event_id)
    assert [kind for kind, _ in alice.events] == ["snapshot"]
    assert alice.calls == {}
    assert [kind for kind, _ in operator.events] == ["snapshot"]


# For how long.


async def test_a_key_that_is_revoked_ends_its_streams_at_the_next_look(house):
    alice, bob = await house.watches(), await house.watches(key="ck_bob")
    operator = await house.watches(ALL, "ck_operator")
    await house.looks()
    assert {ended(each) for each in (alice, bob, operator)} == {None}
    house.changes("ck_alice", None)
    await house.looks()
    assert (ended(alice), ended(bob), ended(operator)) == ("unauthorized", None, None)
    assert len(house.feed) == len(house.live._watchers) == 2
    house.hears(row_of("a1"))
    assert set(alice.calls) == set()
    house.changes("ck_operator", None)
    await house.looks()
    assert (ended(bob), ended(operator)) == (None, "unauthorized")


@pytest.mark.parametrize(
    ("account", "code"),
    [
        (replace(KEYS["ck_alice"], scopes=frozenset({Scope.RECORDS})), "scope_missing"),
        (replace(KEYS["ck_alice"], id="bob"), "unauthorized"),
        (replace(KEYS["ck_alice"], is_locked=True), "account_frozen"),
        (replace(KEYS["ck_alice"], key_expires_at=NOW), "unauthorized"),
        (replace(KEYS["ck_alice"], frozen=True), None),
    ],
)
async def test_what_becomes_of_a_key_becomes_of_its_streams(house, account, code):
    connection = await house.watches()
    await house.looks()
    house.changes("ck_alice", account)
    await house.looks()
    assert ended(connection) == code
    assert code is None or code in PROBLEMS


async def test_a_key_that_expires_by_itself_ends_its_streams_within_five_looks(house):
    house.changes("ck_alice", replace(KEYS["ck_alice"], key_expires_at=NOW + timedelta(minutes=1)))
    connections = [await house.watches() for _ in range(7)]
    await house.looks(LOOKS + 1)
    assert {ended(each) for each in connections} == {None}
    house.now += timedelta(minutes=1)
    await house.looks(LOOKS)
    assert {ended(each) for each in connections} == {"unauthorized"}


async def test_each_is_asked_about_within_five_looks_however_others_come_and_go(house):
    """Viewers who leave shift those behind them: none may be skipped."""
    others = [await house.watches(ALL, "ck_operator") for _ in range(40)]
    house.changes("ck_alice", replace(KEYS["ck_alice"], key_expires_at=NOW + timedelta(minutes=1)))
    connections = [await house.watches() for _ in range(10)]
    await house.looks()
    house.now += timedelta(minutes=1)
    for _ in range(LOOKS):
        await house.looks()
        for _ in range(LOOKS - 1):
            others.pop(0).ends()
    assert {ended(each) for each in connections} == {"unauthorized"}


async def test_a_session_that_ends_ends_its_streams(house):
    secret, cookie = await house.signs_in()
    connection = await house.watches(key="", cookie=cookie)
    await house.looks(LOOKS + 1)
    assert ended(connection) is None
    await house.world.browsers.sign_out(secret)
    await house.looks(LOOKS)
    assert ended(connection) == "unauthorized"


async def test_while_the_stores_are_away_nobody_is_ended_who_cannot_be_asked_about(house):
    connection = await house.watches()
    await house.looks()
    house.changes("ck_alice", None)
    house.epochs.is_away = True
    await house.looks(2 * LOOKS)
    assert ended(connection) is None
    house.epochs.is_away, house.accounts.is_away = False, True
    await house.looks(2 * LOOKS)
    assert ended(connection) is None
    house.accounts.is_away = False
    await house.looks(LOOKS)
    assert ended(connection) == "unauthorized"


async def test_one_that_reads_nothing_is_told_once_and_does_not_stay(house):
    connection = await house.watches()
    connection.close = lambda: None  # what it was sent lies in the kernel
    await house.looks()
    house.changes("ck_alice", None)
    await house.looks()
    sent = connection.texts[-1]
    assert b"event: end" in sent
    connection.ends()
    await house.looks(LOOKS)
    assert connection.texts[-1] is sent


async def test_of_a_request_only_who_asks_is_kept(house):
    await house.watches(f"{OWN}?call=c1", x_note="secret words", last_event_id="e1.1:0")
    (watcher,) = house.live._watchers.values()
    assert {name for name, _ in watcher.headers} == {b"authorization"}
    assert "secret" not in repr(watcher)


async def test_no_line_of_the_log_names_a_number_a_key_or_an_account(house):
    with capture_logs() as lines:
        connection = await house.watches()
        house.hears(row_of())
        house.changes("ck_alice", None)
        await house.looks()
        await house.asks(key="ck_alice")
        connection.ends()
    for word in ("+1500", "ck_alice", "alice"):
        assert word not in repr(lines)


# How they are served.


async def test_many_viewers_of_a_turn_are_served_a_few_at_a_time(house, monkeypatch):
    monkeypatch.setattr(live_feed, "SERVED_AT_ONCE", 3)
    connections = [await house.watches(ALL, "ck_operator") for _ in range(8 * TURNS)]
    house.board.apply(batch_of(row_of()), house.now_ns, house.now)
    house.feed.update(house.now_ns, house.now)
    served = lambda: sum(bool(each.calls) for each in connections)  # noqa: E731
    house.live.serve_turn(0)
    assert served() == 3
    # One that leaves meanwhile is passed over in peace.
    connections[5 * TURNS].ends()
    connections[5 * TURNS].send = lambda _text: None
    await asyncio.sleep(0)
    assert served() in {5, 6}
    await asyncio.sleep(0)
    assert served() in {7, 8}
    for turn in range(1, TURNS):
        house.live.serve_turn(turn)
    for _ in range(3):
        await asyncio.sleep(0)
    assert served() >= len(connections) - 1


async def test_at_the_end_all_streams_are_closed_to_come_back(house):
    connections = [await house.watches() for _ in range(3)]
    await house.live.close()
    assert [ended(each) for each in connections] == [""] * 3
    assert len(house.feed) == 0
    assert house.live._watchers == {}
