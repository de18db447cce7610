"""Defines the kinds of settings: how a value is written, read, bounded and shown.

Each function returns a dataclass field for one setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from billing.errors import MoneyError
from billing.money import is_currency, parse_money
from gateway.colours import accents
from gateway.secret import Secret

SCHEME_PORTS = {"http": 80, "https": 443}
"""Ports that an origin leaves out (RFC 6454 section 6.1)."""


@dataclass(frozen=True, slots=True)
class Form:
    """The required form of a text."""

    words: str
    """The text after "must be": for people, with an example if that helps."""
    pattern: str
    """A regular expression for the whole text."""

    def matching(self, value: str) -> str:
        """Return the value, which may be empty: that leaves the setting out. Raises ValueError."""
        if value and not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError(f"must be {self.words}")
        return value


ANY: Final = Form("text", r"(?s:.*)")


def text(doc: str, form: Form = ANY, *, default: str = "") -> Any:
    """Return a setting that is text of a given form."""
    return _knob(default, doc, lambda value: form.matching(value) or default, form.words)


def secret(doc: str, form: Form = ANY, *, is_url: bool = False) -> Any:
    """Return a setting that no log shows; a URL must have a host that can be reached."""

    def parse(value: str) -> Secret:
        text = form.matching(value)
        if text and is_url and not _can_be_asked(text):
            raise ValueError("must be a URL with a host and, if any, a port from 1 to 65535")
        if text and is_url:
            # A host name that ends with a dot can still be looked up.
            _require_name((urlsplit(text).hostname or "").removesuffix("."))
        return Secret(text)

    return _knob(Secret(), doc, parse, form.words, show="", is_secret=True)


def _can_be_asked(url: str) -> bool:
    """Return whether a URL has a host, and a port that exists or none."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    # An IPv6 address without its bracket, or a port that is no number or too large.
    except ValueError:
        return False


def store(doc: str, form: Form) -> Any:
    """Return a setting that is a store's URL, whose user and password must be percent-encoded.

    Otherwise a part of the password would be read as a host, and shown as one.
    """

    def parse(value: str) -> Secret:
        text = form.matching(value)
        kind, _, rest = text.partition("://")
        # RFC 3986, 3.2: the authority ends at the first of these, and has one "@" at most.
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        is_local = kind.partition("+")[0] in ("unix", "sqlite")
        if not is_local and rest.count("@") > min(1, authority.count("@")):
            raise ValueError("must have its user and password percent-encoded (RFC 3986, 2.1)")
        return Secret(text)

    return _knob(Secret(), doc, parse, form.words, show="", is_secret=True)


def secrets(doc: str) -> Any:
    """Return a setting of several secrets."""

    def parse(value: str) -> tuple[Secret, ...]:
        return tuple(Secret(part.strip()) for part in value.split(",") if part.strip())

    return _knob((), doc, parse, "text, separated by commas", is_secret=True)


def number(default: int, doc: str, least: int, most: int, unit: str) -> Any:
    """Return a setting that is a whole number within bounds."""

    def parse(value: str) -> int:
        # Stricter than `int`, which also takes underscores, and any number of digits.
        number = int(value) if re.fullmatch(r"-?\d{1,12}", value, re.ASCII) else None
        if number is None or not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return number

    return _knob(default, doc, parse, f"{least} to {most} {unit}".strip())


def ratio(default: str, doc: str) -> Any:
    """Return a setting that is a fraction of a whole, in decimal notation."""

    def parse(value: str) -> float:
        # No exponents, signs or infinities.
        if not re.fullmatch(r"0(\.\d{1,9})?|1(\.0{1,9})?", value, re.ASCII):
            raise ValueError("must be a decimal fraction from 0 to 1, such as 0.05")
        return float(value)

    return _knob(parse(default), doc, parse, "0 to 1", show=default)


def choice(default: str, doc: str, *choices: str) -> Any:
    """Return a setting that is one of several words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value

    return _knob(default, doc, parse, " or ".join(choices))


def names(
    doc: str,
    parse_one: Callable[[str], Any],
    rule: str,
    default: str = "",
    *,
    key: Callable[[Any], str] | None = None,
) -> Any:
    """Return a setting of several values, separated by commas; no two may have the same key."""

    def parse(value: str) -> tuple[Any, ...]:
        found = tuple(parse_one(part.strip()) for part in value.split(",") if part.strip())
        keys = [] if key is None else [key(each) for each in found]
        # Only one of them would count, and no one would notice which.
        for place, each in enumerate(keys):
            if (first := keys.index(each)) != place:
                raise ValueError(f"names the same twice, in its parts {first + 1} and {place + 1}")
        return found

    # The default passes the same check as what an operator writes.
    return _knob(parse(default), doc, parse, rule, show=default)


def colours(doc: str) -> Any:
    """Return a setting of the accents of light and dark pages, which must be readable there."""
    return _knob((), doc, accents, "#rrggbb,#rrggbb; contrast 4.5:1 or more")


def versions(doc: str) -> Any:
    """Return a setting of the versions of a document, oldest first."""

    def parse(value: str) -> tuple[str, ...]:
        found = tuple(version(part.strip()) for part in value.split(",") if part.strip())
        names = [each.partition(":")[0] for each in found]
        if any(later <= earlier for earlier, later in pairwise(names)):
            raise ValueError("must name each version once, the oldest first")
        if found and ":" in found[0]:
            raise ValueError("must begin with a version that is accepted, without :minor")
        return found

    rule = "dates such as 2026-12-01,2027-03-01:minor"
    return _knob((), doc, parse, rule)


def version(value: str) -> str:
    """Return a version of a document, as it is written. Raises ValueError."""
    name, colon, kind = value.partition(":")
    day = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(\.[2-9])?", name, re.ASCII)
    if not day or (colon and kind != "minor"):
        raise ValueError("must be dates such as 2026-12-01; of a small change 2027-03-01:minor")
    try:
        date.fromisoformat(day[1])
    except ValueError:
        raise ValueError("names a day that is not in the calendar") from None
    return value


def _knob(
    default: Any,
    doc: str,
    parse: Callable[[str], Any],
    rule: str,
    *,
    show: str | None = None,
    is_secret: bool = False,
) -> Any:
    # `Settings` may be printed as a whole, and must not include a secret's metadata.
    metadata = {"doc": doc, "parse": parse, "rule": rule, "show": show, "is_secret": is_secret}
    return field(default=default, metadata=metadata, repr=not is_secret)


_ALL_MAPPED = IPv6Network("::ffff:0:0/96")
"""All addresses of IPv4, as IPv6 writes them."""
_LABEL_MAX = 63
_THIS_NETWORK = ip_network("0.0.0.0/8")
_BROADCAST = ip_address("255.255.255.255")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def origin(value: str) -> str:
    """Return an http(s) origin in lower case and without a path. Raises ValueError."""
    if not _can_be_asked(value):
        raise ValueError("must be an origin such as https://calls.example.com")
    parts = urlsplit(value)
    # Browsers copy an origin with a trailing slash; a longer path would be silently ignored.
    if parts.scheme not in ("http", "https") or parts.path.strip("/"):
        raise ValueError("must be an origin such as https://calls.example.com")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("must be an origin such as https://calls.example.com")
    _require_name(parts.hostname or "")
    # Browsers leave the scheme's own port out (RFC 6454, 6.1), and origins are compared as text.
    place = parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{place}"


def _require_name(host_name: str) -> None:
    """Raise ValueError if DNS allows no such name (RFC 1035, 2.3.4), or browsers change it."""
    if ".." in host_name:
        raise ValueError("names a host with two dots in a row, which no host has")
    if host_name.startswith("."):
        raise ValueError("names a host that begins with a dot, as none does")
    if host_name.endswith("."):
        # The origin that a browser sends is compared as text, including the dot.
        raise ValueError("names a host that ends with a dot: leave the dot out")
    if any(len(label) > _LABEL_MAX for label in host_name.split(".")):
        raise ValueError(f"names a host with a part of more than {_LABEL_MAX} characters")


def address(value: str) -> str:
    """Return an IP address of one host in its usual notation. Raises ValueError."""
    try:
        parsed = ip_address(value)
    except ValueError:
        raise ValueError("must be IP addresses, separated by commas") from None
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    # No packets can be sent to these: 0.0.0.0/8 is "this network" (RFC 1122, 3.2.1.3).
    is_nowhere = plain.is_unspecified or plain in _THIS_NETWORK or plain == _BROADCAST
    if is_nowhere or plain.is_multicast:
        raise ValueError("must be addresses that lead to this host: no 0.0.0.0, ::, no multicast")
    return str(parsed)


def hosts(doc: str) -> Any:
    """Return a setting of several hosts, without scheme, port and path."""
    return names(doc, host, "names or addresses, separated by commas")


def host(value: str) -> str:
    """Return a host's name or address in lower case. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]{2,45}", value, re.ASCII):
        raise ValueError("must be names or addresses of hosts, without scheme, port and path")
    _require_name(value)
    return value.lower()


def network(value: str) -> str:
    """Return a network of IP addresses in its usual notation. Raises ValueError."""
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("must be IP addresses or networks such as 10.0.0.0/8") from None


def origin_knob(doc: str, *, default: str = "") -> Any:
    """Return a setting that is an http(s) origin."""
    return _knob(default, doc, lambda v: origin(v) if v else "", "an http(s) origin, no path")


def folder(default: str, doc: str) -> Any:
    """Return a setting that is a folder."""
    return _knob(Path(default), doc, Path, "a folder")


def currency(default: str, doc: str) -> Any:
    """Return a setting that is a currency."""

    def parse(value: str) -> str:
        if not is_currency(value):
            raise ValueError("is not a currency that can be shown")
        return value

    return _knob(default, doc, parse, "ISO 4217 code")


def money(default: str, doc: str) -> Any:
    """Return a setting that is an amount, in micros."""

    def parse(value: str) -> int:
        try:
            micros = parse_money(value)
        except MoneyError:
            raise ValueError("must be an amount such as 10 or 2.50") from None
        if micros < 0:
            raise ValueError("must not be negative")
        return micros

    return _knob(parse(default), doc, parse, "an amount, such as 10 or 2.50", show=default)


def amount(value: str) -> int:
    """Return an amount in micros. Raises ValueError."""
    try:
        micros = parse_money(value)
    except MoneyError:
        micros = 0
    if micros <= 0:
        raise ValueError("must be amounts such as 10 or 2.50, separated by commas")
    return micros


def prefix(value: str) -> str:
    """Return the leading digits of numbers. Raises ValueError."""
    digits = value.removeprefix("+")
    # ASCII, or `\d` matches the digits of every script.
    if not re.fullmatch(r"[1-9]\d{0,14}", digits, re.ASCII):
        raise ValueError("must be leading digits of numbers, such as 53, separated by commas")
    return digits


def country(value: str) -> str:
    """Return an ISO 3166 alpha-2 code in upper case. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z]{2}", value, re.ASCII):
        raise ValueError("must be ISO 3166 codes such as US, separated by commas")
    return value.upper()


def phonebook_entry(value: str) -> str:
    """Return a number with its label. Raises ValueError."""
    if not re.fullmatch(r"\+\d{7,15}=[^=]{1,60}", value, re.ASCII):
        raise ValueError("must be +number=label pairs, separated by commas")
    return value


def much_of_the_internet(networks: Iterable[str]) -> str:
    """Return a network that is too large to be proxies, also if given in parts; else "".

    Those of private addresses are no larger (10.0.0.0/8 of RFC 1918, fc00::/7 of RFC 4193).
    """
    # Collapsed first: two halves of the internet are as much as the whole.
    parsed = [ip_network(name) for name in networks]
    fours = collapse_addresses(each for each in parsed if isinstance(each, IPv4Network))
    sixes = list(collapse_addresses(each for each in parsed if isinstance(each, IPv6Network)))
    # An IPv4 address may be written as one of IPv6 (RFC 4291, 2.5.5.2).
    large = [str(each) for each in sixes if each.supernet_of(_ALL_MAPPED)]
    fours = collapse_addresses(
        [*fours, *(_mapped(each) for each in sixes if each.subnet_of(_ALL_MAPPED))]
    )
    large += [str(each) for each in fours if each.prefixlen < 8]
    large += [str(each) for each in sixes if each.prefixlen < 7]
    return next(iter(large), "")


def _mapped(network: IPv6Network) -> IPv4Network:
    """Return the IPv4 network that one of `_ALL_MAPPED` stands for."""
    first = int(network.network_address) & 0xFFFF_FFFF
    return IPv4Network((first, network.prefixlen - _ALL_MAPPED.prefixlen))
