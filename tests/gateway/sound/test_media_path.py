"""Which way a caller's audio takes: the browser chooses, and the socket stands by."""

from dataclasses import dataclass, field

import pytest

from gateway.browser import messages as wire
from gateway.errors import OfferError
from gateway.ports import SessionQuality, SessionState
from gateway.sound.media_path import ALIVE_NS, OFFER_EVERY_NS, OFFERS_MAX, MediaPath
from tests.gateway.recording import RecordingConnection

REPORT = wire.Report(packets=50, rtt_ms=33.0, buffer_ms=40.0)


class Session:
    """`gateway.ports.AudioSession` that the test moves."""

    def __init__(self) -> None:
        self.state = SessionState.NEW
        self.last_in_ns = 0
        self.quality = SessionQuality(50, 1, 2.5, None)
        self.closed = 0
        self.listener: MediaPath | None = None

    def become(self, state: SessionState) -> None:
        self.state = state
        self.listener.session_changed(self, state)

    def send_audio(self, payload: bytes, timestamp_ms: int | None = None) -> None:
        """Nobody listens."""

    def close(self) -> None:
        self.closed += 1


class Endpoint:
    """`gateway.ports.AudioEndpoint` that takes every offer but a bad one."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.sources: list[str] = []
        self.restarted: list[str] = []

    def accept(self, offer: str, source: str) -> tuple[Session, str]:
        if offer == "bad":
            raise OfferError("no_audio")
        self.sessions.append(Session())
        self.sources.append(source)
        return self.sessions[-1], "answer " + offer

    def restart(self, session: Session, offer: str) -> str:
        if offer.startswith("other"):
            raise OfferError("other_peer")
        if offer == "bad":
            raise OfferError("no_audio")
        self.restarted.append(offer)
        return "restarted " + offer


@dataclass
class Room:
    """A path with everything around it."""

    endpoint: Endpoint | None = field(default_factory=Endpoint)
    told: list[wire.GatewayMessage] = field(default_factory=list)
    heard_by: list[object] = field(default_factory=list)
    pressed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = RecordingConnection()
        self.path = MediaPath(self.endpoint, self.socket, self)

    def tell(self, message: wire.GatewayMessage) -> None:
        self.told.append(message)

    def press(self, digits: str) -> None:
        self.pressed.append(digits)

    def take_packet(self, sequence: int, timestamp: int, payload: bytes) -> None:
        """Nobody speaks."""

    def hear_by_socket(self, browser: object) -> None:
        self.heard_by.append(browser)

    def hear_by_session(self, session: object) -> None:
        self.heard_by.append(session)

    def offer(self, sdp: str = "offer") -> wire.GatewayMessage:
        self.path.take(wire.Offer(id=7, sdp=sdp))
        return self.told[-1]

    def connect(self, sdp: str = "offer") -> Session:
        self.offer(sdp)
        session = self.endpoint.sessions[-1]
        session.become(SessionState.CONNECTED)
        return session

    def choose(self, path: wire.Path) -> None:
        self.path.take(wire.SelectPath(path=path))


@pytest.fixture
def room():
    return Room()


def test_an_offer_is_answered_and_changes_nothing_yet(room):
    assert room.offer() == wire.Answer(id=7, sdp="answer offer")
    assert (room.path.path, room.heard_by) == ("websocket", [])


def test_an_offer_that_cannot_be_taken_is_refused_with_its_reason(room):
    refused = room.offer("bad")
    assert refused == wire.OfferRefused(id=7, code="no_audio", message="The offer has no audio.")


def test_without_an_endpoint_nothing_is_offered():
    room = Room(endpoint=None)
    assert not room.path.can_offer
    refused = room.offer()
    assert isinstance(refused, wire.OfferRefused)
    assert refused.code == "webrtc_off"


def test_the_browser_chooses_once_it_is_connected(room):
    room.choose("webrtc")
    assert room.told[-1] == wire.PathSelected(path="websocket")
    session = room.connect()
    assert room.heard_by == []
    room.choose("webrtc")
    assert room.told[-1] == wire.PathSelected(path="webrtc")
    room.choose("websocket")
    assert room.told[-1] == wire.PathSelected(path="websocket")
    assert room.heard_by == [session, room.socket]


@pytest.mark.parametrize("end", [SessionState.CLOSED, SessionState.FAILED])
def test_a_lost_session_falls_back_to_the_socket(room, end):
    session = room.connect()
    room.choose("webrtc")
    session.become(end)
    assert room.told[-1] == wire.PathSelected(path="websocket")
    assert room.heard_by[-1] is room.socket


def test_a_session_that_fails_before_it_is_used_changes_nothing(room):
    room.offer()
    room.endpoint.sessions[0].become(SessionState.FAILED)
    assert len(room.told) == 1
    assert room.heard_by == []


def test_another_offer_of_the_same_browser_restarts_ice(room):
    room.connect()
    assert room.offer("again") == wire.Answer(id=7, sdp="restarted again")
    assert len(room.endpoint.sessions) == 1
    assert room.offer("bad").code == "no_audio"


def test_a_new_peer_connection_takes_over_without_a_gap(room):
    first = room.connect()
    room.choose("webrtc")
    room.offer("other")
    assert first.closed == 0
    second = room.endpoint.sessions[-1]
    second.become(SessionState.CONNECTED)
    assert room.heard_by == [first, second]
    assert first.closed == 1
    first.become(SessionState.CLOSED)
    assert room.path.path == "webrtc"


def test_an_offer_replaces_one_that_never_connected(room):
    room.offer()
    room.offer()
    assert [session.closed for session in room.endpoint.sessions] == [1, 0]


def test_offers_are_bounded(room):
    for _ in range(OFFERS_MAX):
        assert isinstance(room.offer(), wire.Answer)
    assert room.offer().code == "webrtc_off"


def offers_taken(room):
    """Return how many are taken until one is refused."""
    return next(n for n in range(2 * OFFERS_MAX) if not isinstance(room.offer(), wire.Answer))


def test_who_takes_a_call_up_again_and_again_makes_no_more_offers(room):
    now_ns = 1_000 * OFFER_EVERY_NS
    assert offers_taken(room) == OFFERS_MAX
    room.path.socket_back(RecordingConnection(), now_ns)
    assert offers_taken(room) == OFFERS_MAX
    for _ in range(3):
        room.path.socket_back(RecordingConnection(), now_ns + OFFER_EVERY_NS - 1)
        assert offers_taken(room) == 0
    room.path.socket_back(RecordingConnection(), now_ns + 5 * OFFER_EVERY_NS)
    assert offers_taken(room) == 5
    # And only the newest is a session: the others have made way.
    assert sum(not session.closed for session in room.endpoint.sessions) == 1


def test_digits_of_the_session_are_pressed(room):
    room.connect().listener.pressed("5", 120)
    assert room.pressed == ["5"]


def test_audibility_follows_the_way(room):
    assert room.path.is_audible(0)
    session = room.connect()
    room.choose("webrtc")
    session.last_in_ns = 1
    room.path.socket_lost()
    assert room.path.is_audible(ALIVE_NS)
    assert not room.path.is_audible(ALIVE_NS + 1)
    session.become(SessionState.CLOSED)
    assert not room.path.is_audible(0)


def test_a_new_socket_leaves_a_live_session_alone_and_replaces_a_dead_one(room):
    session = room.connect()
    room.choose("webrtc")
    room.path.socket_lost()
    socket = RecordingConnection()
    room.path.socket_back(socket, ALIVE_NS - 1)
    assert room.path.path == "webrtc"
    room.path.socket_back(socket, ALIVE_NS)
    assert room.path.path == "websocket"
    assert room.heard_by == [session, socket]


def test_reports_are_of_their_second(room):
    assert room.path.network().report is None
    room.path.take(REPORT)
    network = room.path.network()
    assert (network.report, network.rtt_ms, network.session) == (REPORT, 33.0, None)
    assert room.path.network().report is None


def test_the_round_trip_of_the_packets_counts_before_the_browsers_word(room):
    session = room.connect()
    room.choose("webrtc")
    room.path.take(REPORT)
    assert room.path.network().rtt_ms == 33.0
    session.quality = SessionQuality(50, 1, 2.5, 12.0)
    network = room.path.network()
    assert (network.path, network.rtt_ms, network.session) == ("webrtc", 12.0, session.quality)


def test_the_end_closes_every_session_once(room):
    first = room.connect()
    room.offer("other")
    room.path.close()
    room.path.close()
    assert [session.closed for session in room.endpoint.sessions] == [1, 1]
    assert first.listener is None
    assert not room.path.can_offer


def test_an_ice_restart_that_is_not_heard_does_not_bring_the_audio_back(room):
    """Packets are lost on the way up alone: the browser believes that it is connected."""
    session = room.connect()
    session.last_in_ns = 5
    room.choose("webrtc")
    room.choose("websocket")
    room.offer("again")
    room.choose("webrtc")
    assert room.told[-1] == wire.PathSelected(path="websocket")
    session.last_in_ns = 6
    room.choose("webrtc")
    assert room.told[-1] == wire.PathSelected(path="webrtc")


def test_another_session_starts_with_a_clean_sheet(room):
    room.connect().last_in_ns = 5
    room.offer("again")
    room.connect("other")
    room.choose("webrtc")
    assert room.told[-1] == wire.PathSelected(path="webrtc")


@pytest.mark.parametrize(
    "peers",
    [
        ["192.0.2.1:5060", "192.0.2.1:5061", "[::ffff:192.0.2.1]:5060"],
        ["[2001:db8:1:2::1]:5060", "[2001:db8:1:2::2]:5060", "[2001:db8:1:2:ffff::1]:1"],
    ],
)
def test_the_sessions_of_one_host_count_together(peers):
    """In an IPv6 /64 one host chooses any address."""
    endpoint = Endpoint()
    for peer in peers:
        room = Room(endpoint)
        room.socket.peer = peer
        room.path.take(wire.Offer(id=1, sdp="v=0"))
    assert len(set(endpoint.sources)) == 1


def test_the_sessions_of_two_hosts_count_apart():
    endpoint = Endpoint()
    for peer in ("192.0.2.1:5060", "192.0.2.2:5060", "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1"):
        room = Room(endpoint)
        room.socket.peer = peer
        room.path.take(wire.Offer(id=1, sdp="v=0"))
    assert len(set(endpoint.sources)) == 4
