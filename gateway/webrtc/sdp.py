"""Parses a browser's WebRTC offer and writes the answer: one mu-law stream, all else refused.

RFC 8866 (SDP), RFC 8829 (JSEP), RFC 9143 (BUNDLE), RFC 8839 (ICE), RFC 8842 (DTLS). Offers
are untrusted: everything from them that is repeated in the answer has been checked to be a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from gateway.errors import OfferError

OFFER_CHARACTERS_MAX: Final = 12_000
"""A browser's offer of audio has under 2,000 characters; of audio, video and data under 8,000."""
SECTIONS_MAX: Final = 128

_PCMU: Final = 0
"""Static payload type (RFC 3551 table 4)."""
_RTCP_TYPES: Final = range(64, 96)
"""Payload types that would be mistaken for RTCP on one port (RFC 5761 section 4)."""
_PROTOCOLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"})
_DIGEST_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash functions accepted in a fingerprint; others are ignored (RFC 8122 section 5)."""
_MIRRORED: Final = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}

# RFC 8866 section 9, RFC 8839 section 5.4, RFC 8122 section 5.
_TOKEN: Final = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,64}")
_PROTOCOL: Final = re.compile(r"[!#-'*+\-./0-9A-Z^-~]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,5}")
_PORT: Final = re.compile(r"[0-9]{1,5}(/[0-9]{1,5})?")
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_DIGEST: Final = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2})*")

_HOST_TYPE_PREFERENCE: Final = 126
_LOCAL_PREFERENCE_MAX: Final = 65_535

_Attributes = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """What the answer repeats of one media section, accepted or refused."""

    kind: str
    protocol: str
    payload_format: str
    """The first one offered."""
    mid: str | None
    is_taken: bool


@dataclass(frozen=True, slots=True)
class SdpOffer:
    """The accepted audio section, and what the answer must say about the others."""

    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    """Hash name in lower case, digest as `AA:BB`."""
    mid: str | None
    payload_type: int
    """Of PCMU."""
    telephone_event: int | None
    """Payload type of RFC 4733 events at 8 kHz."""
    has_nack: bool
    """Whether PCMU packets are retransmitted on request."""
    sections: tuple[Section, ...]
    direction: str
    """From the browser's point of view."""
    is_bundled: bool = False
    """Whether the section is part of a BUNDLE group."""
    has_reduced_rtcp: bool = False
    """Whether feedback may be sent without a report (RFC 5506)."""


@dataclass(frozen=True, slots=True)
class SdpAnswer:
    """Our side of a session."""

    session_id: int
    ufrag: str
    password: str
    fingerprint: str
    """SHA-256, as `AA:BB`."""
    candidates: Sequence[tuple[str, int]]
    """IPv4 and IPv6 addresses with ports, at least one; the best first."""
    ssrc: int
    cname: str
    ptime_ms: int
    version: int = 1
    """Increases with each answer of one session (RFC 3264 section 8)."""


def parse_offer(text: str) -> SdpOffer:
    """Return what an offer proposes.

    Raises:
        OfferError: No section can be accepted, or the text is not SDP.

    """
    # Before anything is parsed: what an offer may cost is bounded by its length.
    if len(text) > OFFER_CHARACTERS_MAX:
        raise OfferError("too_long")
    session, sections = _split(text)
    taken, payload_type = _choose(sections)
    bundle = _bundle_of(session, taken)
    # Transport attributes are in the section, at session level, or, in a bundle, in the section
    # that leads it (RFC 9143 section 7.1.3).
    scopes = [taken.attributes, session]
    scopes += [section.attributes for section in sections if bundle and section.mid == bundle[0]]
    # There is one port for everything, so RTCP needs to come on it too (RFC 5761).
    if not _find(scopes, "rtcp-mux"):
        raise OfferError("no_rtcp_mux")
    _check_setup(scopes)
    return SdpOffer(
        ufrag=_credential(scopes, "ice-ufrag", _UFRAG),
        password=_credential(scopes, "ice-pwd", _PASSWORD),
        fingerprints=_fingerprints(scopes),
        mid=taken.mid,
        payload_type=payload_type,
        telephone_event=taken.payload_type_of("telephone-event/8000"),
        has_nack=any(
            value.split() in ([str(payload_type), "nack"], ["*", "nack"])
            for value in taken.attributes.get("rtcp-fb", ())
        ),
        sections=tuple(section.repeated(section is taken) for section in sections),
        direction=next(
            (word for scope in (taken.attributes, session) for word in _MIRRORED if word in scope),
            "sendrecv",
        ),
        is_bundled=bool(bundle),
        has_reduced_rtcp="rtcp-rsize" in taken.attributes,
    )


def write_answer(offer: SdpOffer, answer: SdpAnswer) -> str:
    """Return the answer: ICE-lite, DTLS server, PCMU and telephone events on one port."""
    lines = [
        "v=0",
        # RFC 8829 section 5.2.1: the origin's address has no meaning and should reveal nothing.
        f"o=- {answer.session_id} {answer.version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
    ]
    if offer.is_bundled:
        # A refused section must not be in the group (RFC 9143 section 7.3.3): one is left.
        lines.append(f"a=group:BUNDLE {offer.mid}")
    lines.append("a=msid-semantic:WMS *")
    for section in offer.sections:
        if section.is_taken:
            lines += _taken_lines(section, offer, answer)
        else:
            lines += _refused_lines(section)
    return "".join(f"{line}\r\n" for line in lines)


# -- reading -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _OfferedSection:
    """One media section as read."""

    kind: str
    port: str
    protocol: str
    formats: list[str]
    attributes: _Attributes = field(default_factory=dict)

    @property
    def mid(self) -> str | None:
        return self.attributes.get("mid", [None])[0]

    @property
    def is_usable(self) -> bool:
        """Whether it offers DTLS-SRTP audio; its port is 0 if the bundle provides one."""
        # RFC 9143 section 6: a bundle-only section has port 0 and is offered all the same.
        is_alive = self.port != "0" or "bundle-only" in self.attributes
        return self.kind == "audio" and self.protocol in _PROTOCOLS and is_alive

    def payload_type_of(self, encoding: str) -> int | None:
        """Return the first payload type offered for `encoding`, in lower case."""
        mapped = {
            number: name.lower()
            for number, name in map(_two_words, self.attributes.get("rtpmap", ()))
        }
        if encoding == "pcmu/8000":
            # A static payload type needs no rtpmap.
            mapped.setdefault(str(_PCMU), encoding)
        for number in self.formats:
            # In the order of the formats, which is that of preference (RFC 3264 section 5.1). The
            # number of channels may be left out when it is 1.
            if mapped.get(number) in {encoding, f"{encoding}/1"} and _NUMBER.fullmatch(number):
                payload_type = int(number)
                if payload_type < 128 and payload_type not in _RTCP_TYPES:
                    return payload_type
        return None

    def repeated(self, is_taken: bool) -> Section:
        return Section(self.kind, self.protocol, self.formats[0], self.mid, is_taken)


def _split(text: str) -> tuple[_Attributes, list[_OfferedSection]]:
    """Return the session's attributes, and the media sections with theirs."""
    session: _Attributes = {}
    sections: list[_OfferedSection] = []
    attributes = session
    lines = text.rstrip("\r\n").split("\n")
    # RFC 8866 section 5 asks for CRLF and for readers that take LF alone.
    if lines[0].rstrip("\r") != "v=0":
        raise OfferError("malformed")
    for line in lines:
        kind, equals, value = line.rstrip("\r").partition("=")
        if not equals or len(kind) != 1 or not "a" <= kind <= "z":
            raise OfferError("malformed")
        if kind == "m":
            if len(sections) == SECTIONS_MAX:
                raise OfferError("too_long")
            sections.append(_read_section(value))
            attributes = sections[-1].attributes
        elif kind == "a":
            name, _, argument = value.partition(":")
            attributes.setdefault(name, []).append(argument)
    # Once all is read, for the answer repeats every mid, also those of refused sections.
    if any(section.mid is not None and not _is_token(section.mid) for section in sections):
        raise OfferError("malformed")
    return session, sections


def _read_section(value: str) -> _OfferedSection:
    """Read `media port protocol format...`."""
    words = value.split(" ")
    if len(words) < 4 or not all(map(_is_token, (words[0], *words[3:]))):
        raise OfferError("malformed")
    kind, port, protocol, *formats = words
    if not _PORT.fullmatch(port) or not _PROTOCOL.fullmatch(protocol):
        raise OfferError("malformed")
    return _OfferedSection(kind, port, protocol, formats)


def _choose(sections: list[_OfferedSection]) -> tuple[_OfferedSection, int]:
    """Return the first section that can be accepted, and its payload type of PCMU."""
    usable = [section for section in sections if section.is_usable]
    if not usable:
        raise OfferError("no_audio")
    for section in usable:
        payload_type = section.payload_type_of("pcmu/8000")
        if payload_type is not None:
            return section, payload_type
    raise OfferError("no_pcmu")


def _bundle_of(session: _Attributes, section: _OfferedSection) -> list[str]:
    """Return the mids of the section's BUNDLE group, the leading one first."""
    for group in session.get("group", ()):
        semantics, *mids = group.split() or [""]
        if semantics == "BUNDLE" and section.mid in mids:
            return mids
    return []


def _find(scopes: list[_Attributes], name: str) -> list[str]:
    """Return the values of an attribute in the innermost scope that has it."""
    return next((scope[name] for scope in scopes if name in scope), [])


def _check_setup(scopes: list[_Attributes]) -> None:
    """Check that the browser can be the DTLS client, because we are the server."""
    if _find(scopes, "setup")[:1] not in (["actpass"], ["active"]):
        raise OfferError("bad_setup")


def _credential(scopes: list[_Attributes], name: str, form: re.Pattern[str]) -> str:
    values = _find(scopes, name)
    if not values:
        raise OfferError("no_ice")
    if not form.fullmatch(values[0]):
        raise OfferError("malformed")
    return values[0]


def _fingerprints(scopes: list[_Attributes]) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for value in _find(scopes, "fingerprint"):
        name, digest = _two_words(value)
        name = name.lower()
        digest = digest.upper()
        # RFC 8122 section 5: several may be given, and those that are not understood are ignored.
        if name not in _DIGEST_BYTES:
            continue
        if not _DIGEST.fullmatch(digest) or len(digest) != 3 * _DIGEST_BYTES[name] - 1:
            raise OfferError("malformed")
        # A dict keeps the order, and names each fingerprint once.
        found[name, digest] = None
    if not found:
        raise OfferError("no_fingerprint")
    return tuple(found)


def _two_words(value: str) -> tuple[str, str]:
    first, _, second = value.partition(" ")
    return first, second.strip(" ")


def _is_token(value: str) -> bool:
    return _TOKEN.fullmatch(value) is not None


# -- writing -------------------------------------------------------------------------------------


def _taken_lines(section: Section, offer: SdpOffer, answer: SdpAnswer) -> Iterator[str]:
    payload_type = offer.payload_type
    event = offer.telephone_event
    # The default candidate (RFC 8839): what an agent without ICE would use.
    host, port = answer.candidates[0]
    direction = _MIRRORED[offer.direction]
    formats = f"{payload_type}" if event is None else f"{payload_type} {event}"
    yield f"m=audio {port} {section.protocol} {formats}"
    yield f"c=IN IP{ip_address(host).version} {host}"
    yield "a=rtcp-mux"
    if offer.has_reduced_rtcp:
        yield "a=rtcp-rsize"
    yield f"a=ice-ufrag:{answer.ufrag}"
    yield f"a=ice-pwd:{answer.password}"
    yield f"a=fingerprint:sha-256 {answer.fingerprint}"
    # The browser begins the handshake, as soon as its check has opened the way (RFC 8842).
    yield "a=setup:passive"
    if offer.mid is not None:
        yield f"a=mid:{offer.mid}"
    yield f"a={direction}"
    yield f"a=rtpmap:{payload_type} PCMU/8000"
    if offer.has_nack:
        yield f"a=rtcp-fb:{payload_type} nack"
    if event is not None:
        yield f"a=rtpmap:{event} telephone-event/8000"
        # The digits, star, pound and A to D: events 0 to 15 of RFC 4733.
        yield f"a=fmtp:{event} 0-15"
    yield f"a=ptime:{answer.ptime_ms}"
    # A stream that is not sent is not announced: `recvonly` and `inactive` have none.
    if direction.startswith("send"):
        yield "a=msid:phone phone"
        yield f"a=ssrc:{answer.ssrc} cname:{answer.cname}"
    for index, (address, its_port) in enumerate(answer.candidates):
        # Each address has its own foundation (RFC 8445 section 5.1.1.3); one component.
        priority = _priority(index)
        yield f"a=candidate:{index + 1} 1 udp {priority} {address} {its_port} typ host"
    yield "a=end-of-candidates"


def _refused_lines(section: Section) -> Iterator[str]:
    """Refuse a section (RFC 3264 section 6): port 0, and at least one format."""
    yield f"m={section.kind} 0 {section.protocol} {section.payload_format}"
    yield "c=IN IP4 0.0.0.0"
    if section.mid is not None:
        yield f"a=mid:{section.mid}"
    yield "a=inactive"


def _priority(index: int) -> int:
    """Return the priority of a host candidate of component 1 (RFC 8445 section 5.1.2.1)."""
    return _HOST_TYPE_PREFERENCE << 24 | _LOCAL_PREFERENCE_MAX - index << 8 | 255
