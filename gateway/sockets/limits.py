"""Lists the bounds of the media socket engine, each with its unit and its reason.

The composition root fills it in from the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.limits.frame_budget import BudgetLimits
from gateway.nanoseconds import SECOND_NS


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What one peer, and all peers together, may take from the process."""

    connections_max: int = 4096
    """Media sockets at once that have proven whose they are; the next signed one is answered 503.

    Strangers never take one of these places, so that carrier and resumes find theirs free.
    """
    strangers_max: int = 4096
    """Connections at once, of any protocol, whose peers are not authenticated."""
    strangers_per_network_max: int = 2048
    """The same of one /24 or IPv6 /48: half, so that no single network takes every place."""
    strangers_per_address_max: int = 1024
    """The same of one address or IPv6 /64.

    An office or a mobile carrier hides hundreds of callers behind one address, each with a few idle
    HTTP connections; a call's own socket is a stranger for milliseconds.
    """
    requests_per_s: int = 500
    """HTTP requests of one address, or IPv6 /64: the steady rate that is answered; the excess gets
    429. The callbacks of a hundred calls begun each second, and a sixth of a core."""
    requests_at_once: int = 1000
    """Burst of the same."""
    connections_per_s: int = 100
    """New connections of one address, or IPv6 /64: the steady rate that is accepted, half that of
    its /24 or /48; the excess is reset. TLS takes about a millisecond for each."""
    connections_at_once: int = 1000
    """Burst of the same: an office, or a mobile carrier, after an outage. A node takes as many as
    all its calls may need, if that is more."""
    handshakes_per_address_max: int = 32
    """TLS handshakes of one address, or IPv6 /64, that are under way at once; others wait. With
    0.3 s for two round trips of a slow network that is a hundred a second."""
    handshakes_max: int = 256
    """The same for all addresses together. One that is under way takes some 60 KiB."""
    head_bytes_max: int = 16 * 1024
    """Size of an opening handshake; a larger one is answered 431."""
    message_bytes_max: int = 16 * 1024
    """Size of one message from the peer; a larger one closes with 1009.

    An audio message has at most 1 KiB, a carrier's `start` with all its parameters about 8.
    """
    frames: BudgetLimits = field(default_factory=BudgetLimits)
    """Frames of every kind from the peer; more are dropped, and close with 1008 if they go on."""
    discarded_bytes_max: int = 64 * 1024
    """Read and thrown away while the peer should close; beyond it, the peer is not read, and is
    aborted."""
    control_frames_max_per_s: int = 20
    """Ping, pong and empty frames from the peer in one second; more closes with 1008."""
    audio_messages_waiting_max: int = 10
    """Audio messages kept for a peer that does not read: 200 ms of 20 ms frames."""
    control_bytes_waiting_max: int = 64 * 1024
    """Control text kept for a peer that does not read; more aborts the connection."""
    send_buffer_bytes: int = 16 * 1024
    """SO_SNDBUF. The default of the kernel swallows minutes of audio before it pushes back."""
    unsent_bytes_max: int = 8 * 1024
    """Bytes the kernel may hold unacknowledged before audio counts as late.

    A quarter of a second of the widest audio (640-byte messages), plus a long round trip of the
    narrowest (160 bytes).
    """
    handshake_timeout_ns: int = 5 * SECOND_NS
    """From accepting a connection to its complete first head, be it a request or an opening
    handshake, the TLS handshake included; and from the first byte of a later head to its last."""
    request_timeout_ns: int = 10 * SECOND_NS
    """From the first byte of a request to the last byte of its body."""
    unread_timeout_ns: int = 30 * SECOND_NS
    """How long an HTTP response may wait for the peer to read any of it."""
    close_timeout_ns: int = 5 * SECOND_NS
    """From our close frame, or the end of what we send, to the end of the connection."""
    ping_interval_ns: int = 20 * SECOND_NS
    """Silence from the peer after which it is pinged."""
    pong_timeout_ns: int = 20 * SECOND_NS
    """Silence after a ping after which the peer counts as gone."""
