"""Writes small databases in MaxMind's format (MaxMind DB File Format Specification 2.0)."""

import ipaddress
from pathlib import Path

MARKER = b"\xab\xcd\xefMaxMind.com"
RECORD_BITS = 24
_STRING, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 5, 6, 7, 9, 11


def encoded(value):
    """Return a value of the data section; numbers are `(type, number)`."""
    match value:
        case str():
            content = value.encode()
            return _control(_STRING, len(content)) + content
        case dict():
            pairs = (encoded(key) + encoded(each) for key, each in value.items())
            return _control(_MAP, len(value)) + b"".join(pairs)
        case list():
            return _control(_ARRAY, len(value)) + b"".join(map(encoded, value))
        case (kind, number):
            content = number.to_bytes(8, "big").lstrip(b"\0")
            return _control(kind, len(content)) + content
    raise AssertionError(value)


def _control(kind, size):
    assert size < 285
    long = size >= 29
    low = 29 if long else size
    head = bytes([kind << 5 | low]) if kind <= 7 else bytes([low, kind - 7])
    return head + (bytes([size - 29]) if long else b"")


def database(records):
    """Return a database of network (IPv4 or IPv6) -> record; networks must not overlap."""
    tree: list[list[int | None]] = [[None, None]]
    data, places = b"", []
    for name, record in records.items():
        network = ipaddress.ip_network(name)
        is_old = network.version == 4
        bits = f"{int(network.network_address):0{32 if is_old else 128}b}"
        # IPv4 lies at ::/96 of the tree.
        path = "0" * 96 * is_old + bits[: network.prefixlen]
        node = 0
        for bit in map(int, path[:-1]):
            if tree[node][bit] is None:
                tree.append([None, None])
                tree[node][bit] = len(tree) - 1
            node = tree[node][bit]
        places.append((node, int(path[-1]), len(data)))
        data += encoded(record)
    count = len(tree)
    for node, bit, offset in places:
        tree[node][bit] = count + 16 + offset
    nodes = b"".join(
        (count if child is None else child).to_bytes(RECORD_BITS // 8, "big")
        for node in tree
        for child in node
    )
    metadata = {
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, 1),
        "database_type": "Test-Country",
        "description": {"en": "a test"},
        "ip_version": (_UINT16, 6),
        "languages": ["en"],
        "node_count": (_UINT32, count),
        "record_size": (_UINT16, RECORD_BITS),
    }
    return nodes + bytes(16) + data + MARKER + encoded(metadata)


def write(path: Path, countries: dict[str, str]) -> Path:
    """Write network -> ISO 3166 alpha-2 code, as MaxMind's country databases have it."""
    records = {name: {"country": {"iso_code": code}} for name, code in countries.items()}
    path.write_bytes(database(records))
    return path
