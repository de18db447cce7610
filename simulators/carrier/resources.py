"""Builds the JSON of Twilio's REST resources. Pure: records in, dictionaries out.

https://www.twilio.com/docs/voice/api/call-resource, and the OpenAPI documents of Twilio's APIs
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from simulators.carrier import numbers, tariff
from simulators.carrier.callbacks import API_VERSION, rfc2822
from simulators.carrier.calls import NS_PER_S, Call, Status
from simulators.carrier.debugger import Entry
from simulators.carrier.errors import RestError

Json = dict[str, object]

_SUBRESOURCES: Final = {
    "notifications": "Notifications",
    "recordings": "Recordings",
    "payments": "Payments",
    "events": "Events",
    "siprec": "Siprec",
    "streams": "Streams",
    "transcriptions": "Transcriptions",
    "user_defined_message_subscriptions": "UserDefinedMessageSubscriptions",
    "user_defined_messages": "UserDefinedMessages",
}


def error(problem: RestError) -> Json:
    """Return Twilio's error body."""
    refusal = problem.refusal
    return {
        "code": refusal.code,
        "message": problem.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }


def number_sid(number: str) -> str:
    """Return the stable PN identifier of one of the account's numbers."""
    # Derived from the number, so that it stays the same over restarts without being stored.
    return "PN" + hashlib.sha256(number.encode()).hexdigest()[:32]


def account_uri(account_sid: str) -> str:
    """Return the path that the account's resources live under."""
    return f"/{API_VERSION}/Accounts/{account_sid}"


def call(record: Call, now_ns: int, price_delay_s: float) -> Json:
    """Return a Call resource; the price shows only some time after the end."""
    uri = f"{account_uri(record.account_sid)}/Calls/{record.sid}"
    answered = record.answered_at_ns is not None
    return {
        "account_sid": record.account_sid,
        "answered_by": record.answered_by,
        "api_version": API_VERSION,
        "caller_name": None,
        "date_created": rfc2822(record.created_at_ns),
        "date_updated": rfc2822(record.updated_at_ns),
        "direction": "outbound-api",
        "duration": str(record.seconds) if record.over and answered else None,
        "end_time": _time(record.ended_at_ns),
        "forwarded_from": None,
        "from": record.from_,
        "from_formatted": numbers.formatted(record.from_),
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": number_sid(record.from_),
        "price": _price(record, now_ns, price_delay_s),
        "price_unit": "USD",
        "queue_time": str(record.queue_ms),
        "sid": record.sid,
        "start_time": _time(record.initiated_at_ns),
        # REST has no name for the moment between dispatch and ringing.
        "status": Status.QUEUED if record.status is Status.INITIATED else record.status,
        "subresource_uris": {k: f"{uri}/{v}.json" for k, v in _SUBRESOURCES.items()},
        "to": record.to,
        "to_formatted": numbers.formatted(record.to),
        "trunk_sid": None,
        "uri": f"{uri}.json",
    }


def log_level(entry: Entry) -> str:
    """Return the level of a notification: 0 for an error, 1 for a warning."""
    return "0" if entry.level == "error" else "1"


def notification(account_sid: str, entry: Entry) -> Json:
    """Return what the debugger notes of a call, as its list of notifications has it.

    https://www.twilio.com/docs/api/rest/notification, and the replies in the tests of Twilio's
    libraries: the text is a form.
    """
    sid = "NO" + hashlib.sha256(repr(entry).encode()).hexdigest()[:32]
    text = {
        "ErrorCode": entry.code,
        "LogLevel": entry.level.upper(),
        "Msg": f"{entry.message} {entry.detail}".strip(),
    }
    at = rfc2822(entry.at_ns)
    return {
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "call_sid": entry.call_sid,
        "date_created": at,
        "date_updated": at,
        "error_code": str(entry.code),
        "log": log_level(entry),
        "message_date": at,
        "message_text": urlencode(text),
        "more_info": f"https://www.twilio.com/docs/errors/{entry.code}",
        "request_method": None,
        "request_url": "",
        "sid": sid,
        "uri": f"{account_uri(account_sid)}/Notifications/{sid}.json",
    }


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else rfc2822(at_ns)


def _price(record: Call, now_ns: int, price_delay_s: float) -> str | None:
    # Only answered calls are charged: the price of the others stays null for ever.
    if record.ended_at_ns is None or record.answered_at_ns is None:
        return None
    # Twilio fills the price in after the call: a client that reads it at once must cope with null.
    if now_ns - record.ended_at_ns < price_delay_s * NS_PER_S:
        return None
    return tariff.call_price(record.to, record.minutes)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted."""

    size: int = 50
    index: int = 0


def page(path: str, key: str, items: Sequence[Json], wanted: PageRequest, query: Json) -> Json:
    """Return one page of a 2010-04-01 list.

    Args:
        path: the list's own path.
        key: name of the items in the body.
        items: the whole list, in its order.
        wanted: the page.
        query: the list's filters, carried from page to page.
    """
    start = wanted.size * wanted.index
    part = items[start : start + wanted.size]

    def uri(index: int) -> str:
        return f"{path}?{urlencode(query | {'PageSize': wanted.size, 'Page': index})}"

    more = start + wanted.size < len(items)
    return {
        key: list(part),
        "end": start + max(len(part) - 1, 0),
        "first_page_uri": uri(0),
        "next_page_uri": uri(wanted.index + 1) if more else None,
        "page": wanted.index,
        "page_size": wanted.size,
        "previous_page_uri": uri(wanted.index - 1) if wanted.index else None,
        "start": start,
        "uri": uri(wanted.index),
    }


def page_v1(url: str, items: Sequence[Json], wanted: PageRequest, query: Json) -> Json:
    """Return one page of a list of the Voice API (v1).

    Args:
        url: the list's own address.
        items: the whole list, in its order.
        wanted: the page.
        query: the list's filters, carried from page to page.
    """
    start = wanted.size * wanted.index

    def address(index: int, token: str = "") -> str:
        # The token is written as Twilio does and never read: the page number alone finds the page.
        asked = query | {"PageSize": wanted.size, "Page": index}
        return f"{url}?{urlencode(asked | ({'PageToken': token} if token else {}))}"

    more = start + wanted.size < len(items)
    before, after = wanted.index - 1, wanted.index + 1
    return {
        "content": list(items[start : start + wanted.size]),
        "meta": {
            "first_page_url": address(0),
            "key": "content",
            "next_page_url": address(after, f"PT{after}") if more else None,
            "page": wanted.index,
            "page_size": wanted.size,
            "previous_page_url": address(before, f"PT{before}") if wanted.index else None,
            "url": address(wanted.index),
        },
    }


def caller_id(account_sid: str, number: str, name: str, at_ns: int) -> Json:
    """Return an OutgoingCallerId resource."""
    sid = number_sid(number)
    return {
        "account_sid": account_sid,
        "date_created": rfc2822(at_ns),
        "date_updated": rfc2822(at_ns),
        "friendly_name": name,
        "phone_number": number,
        "sid": sid,
        "uri": f"{account_uri(account_sid)}/OutgoingCallerIds/{sid}.json",
    }


def own_number(account_sid: str, number: str, at_ns: int, *, has_voice: bool) -> Json:
    """Return an IncomingPhoneNumber resource."""
    sid = number_sid(number)
    methods = ("sms_fallback", "sms", "status_callback", "voice_fallback", "voice")
    unset = ("address_sid", "bundle_sid", "emergency_address_sid", "identity_sid", "trunk_sid")
    # Twilio leaves these empty where the others are null.
    empty = (
        "sms_application_sid",
        "sms_fallback_url",
        "sms_url",
        "status_callback",
        "voice_application_sid",
        "voice_fallback_url",
        "voice_url",
    )
    return {
        **{f"{each}_method": "POST" for each in methods},
        **dict.fromkeys(unset),
        **dict.fromkeys(empty, ""),
        "account_sid": account_sid,
        "address_requirements": "none",
        "api_version": API_VERSION,
        "beta": False,
        "capabilities": {"voice": has_voice, "sms": True, "mms": False, "fax": False},
        "date_created": rfc2822(at_ns),
        "date_updated": rfc2822(at_ns),
        "emergency_address_status": "unregistered",
        "emergency_status": "Inactive",
        "friendly_name": numbers.formatted(number),
        "origin": "twilio",
        "phone_number": number,
        "sid": sid,
        "status": "in-use",
        "uri": f"{account_uri(account_sid)}/IncomingPhoneNumbers/{sid}.json",
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
    }


def account(account_sid: str, at_ns: int, *, status: str, kind: str) -> Json:
    """Return an Account resource, without its secret."""
    uri = account_uri(account_sid)
    names = {
        "calls": "Calls",
        "incoming_phone_numbers": "IncomingPhoneNumbers",
        "outgoing_caller_ids": "OutgoingCallerIds",
    }
    return {
        "auth_token": None,
        "date_created": rfc2822(at_ns),
        "date_updated": rfc2822(at_ns),
        "friendly_name": "Simulated carrier",
        "owner_account_sid": account_sid,
        "sid": account_sid,
        "status": status,
        "subresource_uris": {name: f"{uri}/{path}.json" for name, path in names.items()},
        "type": kind,
        "uri": f"{uri}.json",
    }


def token(account_sid: str, ttl_s: int, username: str, password: str, at_ns: int) -> Json:
    """Return a network traversal token: STUN and TURN servers with credentials."""
    secret = {"username": username, "credential": password}
    turn = "turn:global.turn.twilio.com"
    urls = (f"{turn}:3478?transport=udp", f"{turn}:3478?transport=tcp", f"{turn}:443?transport=tcp")
    stun = "stun:global.stun.twilio.com:3478"
    return {
        "account_sid": account_sid,
        "date_created": rfc2822(at_ns),
        "date_updated": rfc2822(at_ns),
        "ice_servers": [
            {"url": stun, "urls": stun},
            *({"url": url, "urls": url, **secret} for url in urls),
        ],
        "password": password,
        "ttl": str(ttl_s),
        "username": username,
    }


def quote(number: str, origination: str | None, base: str) -> Json:
    """Return a Pricing v2 voice number: what a minute to it costs, by origin."""
    minute = str(tariff.minute_usd(number))
    iso = numbers.country(number)
    country = tariff.BY_ISO.get(iso)
    return {
        "country": country.name if country else iso,
        "destination_number": number,
        "inbound_call_price": {"base_price": None, "current_price": None, "number_type": None},
        "iso_country": iso,
        "origination_number": origination,
        "outbound_call_prices": [
            {"base_price": minute, "current_price": minute, "origination_prefixes": ["ALL"]}
        ],
        "price_unit": "USD",
        "url": f"{base}/v2/Voice/Numbers/{number}",
    }


def country(record: tariff.Country, base: str, *, is_off: bool, is_risky: bool) -> Json:
    """Return a Voice v1 dialling permissions country."""
    url = f"{base}/v1/DialingPermissions/Countries/{record.iso}"
    return {
        "continent": record.continent,
        "country_codes": [record.prefix],
        "high_risk_special_numbers_enabled": record.high_risk or is_risky,
        "high_risk_tollfraud_numbers_enabled": record.high_risk or is_risky,
        "iso_code": record.iso,
        "links": {"highrisk_special_prefixes": f"{url}/HighRiskSpecialPrefixes"},
        "low_risk_numbers_enabled": record.low_risk and not is_off,
        "name": record.name,
        "url": url,
    }
