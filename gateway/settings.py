"""Defines every setting of the gateway: its name, default, bounds and meaning.

The environment is passed to `from_mapping`. An unknown setting, or a value that is unreadable or
out of range, is refused by name, so that a gateway never starts half configured.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from gateway import knobs, setting_forms
from gateway.limits.velocity import Override, parse_override
from gateway.secret import Secret

PREFIX = "CALLER_"
SETTINGS_FILE = "CALLER_SETTINGS"
"""Names the settings file, so it cannot be one of the settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, parsed."""

    host: str = knobs.text(
        "Address to listen on; 0.0.0.0 for every interface by IPv4, :: by IPv6. Never both: put a "
        "proxy in front for that.",
        default="127.0.0.1",
    )
    port: int = knobs.number(8080, "Port for pages, API, webhooks and media alike.", 0, 65535, "")
    node: str = knobs.text(
        "This process's id in a cluster; part of the paths of its media and webhooks.",
        setting_forms.NODE,
        default="n1",
    )
    public_origin: str = knobs.origin_knob(
        "Origin under which carrier and browsers reach this gateway; both need https. "
        "Default: http, or https with TLS, on the host and port above."
    )
    sign_up: str = knobs.choice(
        "closed",
        "Whether people may make accounts for themselves at /sign-up; those who have one can "
        "always sign in.",
        "closed",
        "open",
    )
    tls_certificate: str = knobs.text(
        "PEM file with the certificate and its chain; the port then speaks TLS. Empty: no TLS, for "
        "this machine or behind a proxy with TLS."
    )
    tls_key: str = knobs.text("PEM file with the certificate's private key, not encrypted.")
    trusted_proxies: tuple[str, ...] = knobs.names(
        "Addresses or networks, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto "
        "are trusted. Empty: none.",
        knobs.network,
        "IP addresses or networks",
    )
    allowed_origins: tuple[str, ...] = knobs.names(
        "Further page origins, separated by commas, that may open a browser leg.",
        knobs.origin,
        "http(s) origins",
    )
    data_dir: Path = knobs.folder(
        ".caller", "Folder of the embedded stores, and of the list of erased accounts."
    )
    redis_url: Secret = knobs.store(
        "Redis or Valkey >= 7.0 that holds the credits; noeviction required. "
        "Empty: an embedded Valkey in the data folder.",
        setting_forms.REDIS,
    )
    database_url: Secret = knobs.store(
        "SQL book of record: postgresql://… or sqlite:///file. Empty: SQLite in the data folder.",
        setting_forms.DATABASE,
    )
    carrier: str = knobs.text(
        "The carrier that calls go through, by its name.", setting_forms.CARRIER, default="twilio"
    )
    carrier_url: str = knobs.origin_knob(
        "Origin of the carrier's REST API, or of a simulator of it.",
        default="https://api.twilio.com",
    )
    twilio_account_sid: str = knobs.text(
        "Twilio account that pays for the phone legs.", setting_forms.ACCOUNT
    )
    twilio_auth_token: Secret = knobs.secret(
        "Its auth token; also signs webhooks and media handshakes."
    )
    twilio_auth_token_secondary: Secret = knobs.secret(
        "The other auth token while the account has two: what either has signed is accepted. "
        "docs/carrier.md has the steps of a rotation."
    )
    twilio_region: str = knobs.text(
        "Twilio region that handles the calls, one of those with media streams; its credentials "
        "and numbers are its own. Empty: us1.",
        setting_forms.REGION,
    )
    twilio_edge: str = knobs.text(
        "Edge by which requests enter Twilio, such as frankfurt. Empty: the region's own.",
        setting_forms.EDGE,
    )
    twilio_webhook_keys: tuple[Secret, ...] = knobs.secrets(
        "Secrets of the SharedKeys that sign webhooks if Twilio has a webhook rule for this "
        "origin; both the new and the old one during a rotation."
    )
    twilio_api_key_sid: str = knobs.text(
        "API key for REST instead of the auth token.", setting_forms.KEY
    )
    twilio_api_key_secret: Secret = knobs.secret("Secret of that API key.")
    fleet_secret: Secret = knobs.secret(
        "Secret that all nodes and their other processes share: what they store hashed is hashed "
        "under it. Empty: the auth token above.",
        setting_forms.SHARED,
    )
    caller_id: str = knobs.text(
        "Number shown to the callee: one of yours at the carrier, or verified there.",
        setting_forms.NUMBER,
    )
    carrier_timeout_ms: int = knobs.number(
        5000, "Timeout of one REST request to the carrier.", 100, 60_000, "ms"
    )
    currency: str = knobs.currency("USD", "Currency of accounts and rates, ISO 4217.")
    rate_deck: str = knobs.text(
        "CSV file with the rates, used until a deck is imported by `caller rates`. "
        "Empty: the bundled deck of EXAMPLE prices."
    )
    phonebook: tuple[str, ...] = knobs.names(
        "Suggestions on the phone page: +number=label, separated by commas.",
        knobs.phonebook_entry,
        "+number=label pairs",
        key=lambda entry: entry.partition("=")[0],
    )
    calls_max: int = knobs.number(
        500, "Most simultaneous calls of this node; further ones are refused.", 1, 10_000, "calls"
    )
    account_calls_max: int = knobs.number(
        10, "Most simultaneous calls of one account.", 1, 10_000, "calls"
    )
    velocity_limits: tuple[Override, ...] = knobs.names(
        "Changes to the velocity limits, separated by commas; names and defaults are below.",
        parse_override,
        "name=amount or name=off",
        key=lambda override: override.name,
    )
    open_high_risk: tuple[str, ...] = knobs.names(
        "Prefixes of high-risk destinations that may be called nevertheless, separated by commas.",
        knobs.prefix,
        "leading digits such as 53",
    )
    landing_button: str = knobs.text(
        "Test key of a button that newcomers may try at /welcome: it reaches the gateway's own "
        "echo and costs nothing. Empty: none.",
        setting_forms.TEST_KEY,
    )
    human_check: str = knobs.text(
        "Async function that tells whether a visitor who calls by a button is a person, as "
        "package.module:function; docs/buttons.md has an example. Empty: none.",
        setting_forms.FUNCTION,
    )
    design_page: str = knobs.choice(
        "off",
        "Whether /design shows every element of our pages in every state; a demo has it on.",
        "on",
        "off",
    )
    home_countries: tuple[str, ...] = knobs.names(
        "Countries that every person may call, separated by commas; others they open themselves at "
        "/account/countries. Empty: all. Accounts of programs call them all.",
        knobs.country,
        "ISO 3166 codes such as US,CA",
        key=lambda country: country,
    )
    address_countries: str = knobs.text(
        "Country database in MaxMind's format (.mmdb), which tells the country of a sign-in by "
        "its address; read again when it changes. No data are sent. Empty: no country is shown."
    )
    countries_opened_day_max: int = knobs.number(
        3, "Most countries that a person may open within 24 hours.", 0, 300, ""
    )
    new_card_days: int = knobs.number(
        7,
        "How long a person's spending is bounded after their first payment; 0: not at all.",
        0,
        90,
        "days",
    )
    new_card_day_max: int = knobs.money(
        "20",
        "Most that a person may spend in a day (UTC) in that time; half with a disposable "
        "mail address, or from countries they do not call (CALLER_ADDRESS_COUNTRIES).",
    )
    admin_networks: tuple[str, ...] = knobs.names(
        "Addresses or networks, separated by commas, from which keys of scope admin are accepted. "
        "Empty: any.",
        knobs.network,
        "IP addresses or networks",
    )
    call_duration_max_s: int = knobs.number(
        14_400, "Longest call; also set as the carrier's time limit.", 10, 86_400, "s"
    )
    ring_timeout_s: int = knobs.number(60, "How long a phone may ring.", 5, 600, "s")
    stream_timeout_s: int = knobs.number(
        30,
        "How long an answered call may wait for its media stream, unless the carrier reports its "
        "end. A trial account's announcement takes half of this and asks for a key press.",
        1,
        60,
        "s",
    )
    media_silence_s: int = knobs.number(
        3, "How long the carrier may send no audio before the call counts as lost.", 1, 60, "s"
    )
    token_ttl_s: int = knobs.number(60, "Lifetime of a one-use call token.", 5, 600, "s")
    start_timeout_s: int = knobs.number(
        5, "How long a new browser socket may take to send its start message.", 1, 60, "s"
    )
    prepaid_horizon_s: int = knobs.number(
        8, "Seconds for which a live call holds credit in advance.", 2, 30, "s"
    )
    grace_s: int = knobs.number(
        6, "Unpaid seconds a call may last while the credit store is away.", 0, 30, "s"
    )
    stripe_api_key: Secret = knobs.secret(
        "Stripe's secret or restricted key; empty: no top-ups by card.", setting_forms.STRIPE
    )
    stripe_webhook_secrets: tuple[Secret, ...] = knobs.secrets(
        "Signing secrets of the webhook endpoint /stripe/webhook; both the new and the old one "
        "during a rotation."
    )
    stripe_url: str = knobs.origin_knob(
        "Origin of the payment service's API, which must be Stripe's or compatible.",
        default="https://api.stripe.com",
    )
    top_up_amounts: tuple[int, ...] = knobs.names(
        "Amounts offered on the top-up page.",
        knobs.amount,
        "amounts, separated by commas",
        default="10,25,50,100",
    )
    top_up_min: int = knobs.money("5", "Smallest amount of one top-up.")
    top_up_max: int = knobs.money("500", "Largest amount of one top-up.")
    auto_top_up_day_max: int = knobs.money(
        "200", "Most that may be charged to an account's saved card within 24 hours."
    )
    auto_top_up_pause_s: int = knobs.number(
        60, "Shortest time between two automatic top-ups of one account.", 10, 86_400, "s"
    )
    refund_short_call_s: int = knobs.number(
        0, "Answered calls of at most this many seconds are refunded; 0: none.", 0, 60, "s"
    )
    refunds_day_max: int = knobs.number(
        5, "Most automatic call refunds per account within 24 hours; 0: none.", 0, 100, ""
    )
    events_url: Secret = knobs.secret(
        "Where events (low credit, cut-off, top-up, refund) are posted, signed; empty: nowhere.",
        setting_forms.POSTED,
        is_url=True,
    )
    events_secret: Secret = knobs.secret(
        "Signs those posts (Standard Webhooks); `echo whsec_$(openssl rand -base64 32)` makes one.",
        setting_forms.SIGNS,
    )
    webhook_private_hosts: tuple[str, ...] = knobs.hosts(
        "Hosts inside a network that account holders' webhooks may be sent to anyway, even "
        "without TLS; nothing else inside is reached."
    )
    second_factor_keys: tuple[Secret, ...] = knobs.secrets(
        "Keys that seal the secrets of second factors and webhooks, each of at least 32 random "
        "characters; the first seals new ones, the others only open older ones. Nodes that share "
        "CALLER_DATABASE_URL need the same; else one is made in CALLER_DATA_DIR."
    )
    smtp_url: Secret = knobs.secret(
        "Mail server for notices to account holders; user and password percent-encoded. Plain "
        "smtp:// accepts a password on this machine only. Empty: no mail is sent.",
        setting_forms.SMTP,
        is_url=True,
    )
    mail_from: str = knobs.text("Sender address of that mail.", setting_forms.EMAIL)
    service_name: str = knobs.text(
        "What this service is called in mails and on pages.", setting_forms.NAME, default="Caller"
    )
    alarm_email: str = knobs.text(
        "Where alarms are mailed; needs CALLER_SMTP_URL. Empty: nowhere.", setting_forms.EMAIL
    )
    alarm_spend_per_minute: int = knobs.number(
        0,
        "What all calls together may cost a minute, in whole units of each currency, before an "
        "alarm is raised; 0: no limit.",
        0,
        1_000_000,
        "",
    )
    contact_email: str = knobs.text(
        "Address for questions, shown in each mail, and where answers to it go. Empty: none.",
        setting_forms.EMAIL,
    )
    calls_kept_months: int = knobs.number(
        12,
        "How long records of calls are kept: numbers, times, quality. What the money needs "
        "of a call stays in the books.",
        1,
        12,
        "months",
    )
    books_kept_years: int = knobs.number(
        10,
        "How many years of the calendar books are kept, as the law demands where you are: what was "
        "paid and charged, under account numbers, and the register of requests about data.",
        1,
        30,
        "years",
    )
    operator: str = knobs.text(
        "The company or person who runs this service, shown on each page and in each mail.",
        setting_forms.OPERATOR,
    )
    operator_address: str = knobs.text("Their postal address, on one line.", setting_forms.ADDRESS)
    logo: str = knobs.text(
        "PNG or SVG file of at most 64 KiB, shown beside the service's name on each page."
    )
    accent_colours: tuple[str, ...] = knobs.colours(
        "Colours of links: for light pages, and for dark ones. Empty: those of the phone page."
    )
    terms_file: str = knobs.text(
        "Text file with terms of your own, shown in place of the built-in ones. One such as "
        "terms.de.txt beside terms.txt is shown to readers of German."
    )
    terms_versions: tuple[str, ...] = knobs.versions(
        "All versions of that text, separated by commas, the oldest first: the days they were "
        "posted on. People accept a new one before they go on; with :minor they are only notified."
    )
    privacy_file: str = knobs.text(
        "Text file with your own words about personal data, shown before the built-in policy "
        "and its tables, which always stay."
    )
    privacy_versions: tuple[str, ...] = knobs.versions(
        "All versions of that text, as with CALLER_TERMS_VERSIONS."
    )
    outbox_alarm: int = knobs.number(
        100_000,
        "Entries waiting for the SQL database at which /readyz?verbose and the log raise an alarm.",
        100,
        10_000_000,
        "entries",
    )
    webrtc: str = knobs.choice(
        "on", "Whether browsers may use WebRTC for audio; the socket always works.", "on", "off"
    )
    udp_port: int = knobs.number(
        0, "UDP port of all WebRTC audio. 0: the same number as CALLER_PORT.", 0, 65535, ""
    )
    public_ips: tuple[str, ...] = knobs.names(
        "Addresses under which browsers reach that UDP port, IPv4 or IPv6, separated by commas. "
        "Empty: the host listened on, or this machine's own addresses.",
        knobs.address,
        "IP addresses",
    )
    ptime_ms: str = knobs.choice(
        "20",
        "Length of a WebRTC packet in ms; 40 halves the packet rate and adds 20 ms of delay.",
        "20",
        "40",
    )
    resume_s: int = knobs.number(
        15,
        "How long the phone is kept on the line for a caller whose socket was lost; 0: not at all.",
        0,
        120,
        "s",
    )
    drain_timeout_s: int = knobs.number(
        30,
        "How long live calls may go on after SIGTERM or SIGHUP before they are ended.",
        0,
        3600,
        "s",
    )
    otlp_url: Secret = knobs.secret(
        "Collector of traces, by OTLP over HTTP: http://127.0.0.1:4318. Empty: no call is traced.",
        setting_forms.COLLECTOR,
        is_url=True,
    )
    otlp_headers: Secret = knobs.secret("Headers for it: name=value,name=value, percent-encoded.")
    traces_ratio: float = knobs.ratio("1", "Fraction of all calls that is traced.")
    log_level: str = knobs.choice(
        "info", "Lowest level that is logged.", "debug", "info", "warning", "error"
    )
    log_format: str = knobs.choice("text", "Format of log lines.", "text", "json")

    @property
    def origin(self) -> str:
        """The public origin, or the one that follows from host and port."""
        # A server can listen on the wildcards, but clients cannot connect to them.
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        scheme = "https" if self.tls_certificate else "http"
        port = "" if self.port == knobs.SCHEME_PORTS[scheme] else f":{self.port}"
        return self.public_origin or f"{scheme}://{host}{port}"

    @property
    def shared_secret(self) -> str:
        """The secret that all processes share: what is hashed under it is found by each of them."""
        return (self.fleet_secret or self.twilio_auth_token).reveal()

    @property
    def media_origin(self) -> str:
        """The origin of media sockets as the carrier reads and signs it: always `wss`."""
        return "wss://" + urlsplit(self.origin).netloc

    @property
    def own_origins(self) -> frozenset[str]:
        """The origins of our own pages."""
        origins = {self.origin}
        # On this machine a page may be opened under either name, which are two origins to a
        # browser.
        host = urlsplit(self.origin).hostname
        if host in ("127.0.0.1", "localhost"):
            origins |= {self.origin.replace(host, name) for name in ("127.0.0.1", "localhost")}
        return frozenset(origins)

    @property
    def page_origins(self) -> frozenset[str]:
        """The origins whose pages may open a browser leg."""
        return self.own_origins | {*self.allowed_origins}


KNOBS = {PREFIX + knob.name.upper(): knob for knob in fields(Settings)}
"""Every setting by its variable."""
SECRET_FILES = {name: f"{name}_FILE" for name, knob in KNOBS.items() if knob.metadata["is_secret"]}
"""Each secret -> the variable that may name a file with it, so that no environment holds it."""
