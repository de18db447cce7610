"""Names the required forms of text settings, for people and for programs."""

from __future__ import annotations

from typing import Final

from gateway.knobs import Form

NODE: Final = Form("1 to 32 small letters, digits and -, such as n1", r"[a-z0-9][a-z0-9-]{0,31}")
CARRIER: Final = Form("the name of a carrier, such as twilio", r"[a-z][a-z0-9_]{0,31}")
REDIS: Final = Form(
    "an address such as redis://user:password@host:6379/0 (rediss:// with TLS; also unix://,"
    " redis+sentinel://, redis+cluster://)",
    r"(rediss?|unix|rediss?\+sentinel|rediss?\+cluster)://\S+",
)
DATABASE: Final = Form(
    "an address such as postgresql://user:password@host:5432/name or sqlite:////folder/file.db",
    r"(postgresql|postgresql\+asyncpg|sqlite|sqlite\+aiosqlite)://\S+",
)
ACCOUNT: Final = Form(
    "AC and 32 hexadecimal digits, as Twilio's console shows it", r"AC[0-9a-fA-F]{32}"
)
KEY: Final = Form(
    "SK and 32 hexadecimal digits, as Twilio's console shows it", r"SK[0-9a-fA-F]{32}"
)
REGION: Final = Form("us1, ie1 or au1", r"us1|ie1|au1")
EDGE: Final = Form("the name of an edge, such as frankfurt", r"[a-z][a-z-]{1,30}")
SHARED: Final = Form(
    "at least 32 characters: `openssl rand -base64 32` makes such a secret", r"(?s:.{32,})"
)
NUMBER: Final = Form("a number with its country code, such as +15005550006", r"\+\d{7,15}")
TEST_KEY: Final = Form(
    "the test key of a button: pk_test_ and 24 letters or digits", r"pk_test_[0-9A-Za-z]{24}"
)
FUNCTION: Final = Form("package.module:function", r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
STRIPE: Final = Form(
    "a key of Stripe's: sk_live_…, rk_live_…, or of its test mode sk_test_…, rk_test_…",
    r"(sk|rk)_(test|live)_\w+",
)
POSTED: Final = Form("an address such as https://example.com/events", r"https?://\S+")
SIGNS: Final = Form(
    "whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32) makes one",
    r"whsec_[A-Za-z0-9+/]{32,86}={0,2}",
)
SMTP: Final = Form(
    "an address such as smtps://user:password@mail.example.com:465 (smtp+starttls:// with STARTTLS,"
    " smtp:// without TLS)",
    r"(smtps?|smtp\+starttls)://([^\s:/?#@]+:[^\s:/?#@]+@)?[A-Za-z0-9.-]+:\d{1,5}",
)
EMAIL: Final = Form("an address such as calls@example.com", r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")
NAME: Final = Form("1 to 60 characters without < > @ , ; :", r"[^<>@,;:\x00-\x1f]{1,60}")
OPERATOR: Final = Form("1 to 120 characters without < >", r"[^<>\x00-\x1f]{1,120}")
ADDRESS: Final = Form("1 to 240 characters on one line, without < >", r"[^<>\x00-\x1f]{1,240}")
COLLECTOR: Final = Form(
    "an address such as http://127.0.0.1:4318, without ? and #", r"https?://[^\s?#]+"
)
