"""Defines the settings of the simulated carrier: unit, default, bound. Reads no environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from simulators.carrier.errors import SimulatorSettingsError

_ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")
_REGION = re.compile(r"([a-z]{2}[0-9])?")
_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "dispatch_delay_s": (0, 60),
    "ring_s": (0, 600),
    "slow_answer_s": (0, 600),
    "hangup_after_s": (0, 14400),
    # Twilio's MachineDetectionTimeout is at most 59 s, its TimeLimit at most a day.
    "detection_s": (0, 59),
    "cps": (0.01, 100_000),
    "concurrency_max": (1, 100_000),
    "queue_max": (0, 1_000_000),
    "live_calls_max": (0, 100_000),
    "price_delay_s": (0, 86400),
    "time_limit_default_s": (1, 86400),
    "trial_limit_s": (1, 86400),
    "create_hold_s": (0, 600),
    "callback_late_s": (0, 600),
    "echo_delay_ms": (0, 5000),
    "heard_s_max": (0, 300),
    "calls_kept": (1, 1_000_000),
    "recordings_kept": (0, 10_000),
    "rest_concurrency_max": (1, 100_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Describes one simulated carrier account, and how long things take in it."""

    account_sid: str
    auth_token: str = field(repr=False)
    """Basic password of the REST API and key of every signature."""
    host: str = "127.0.0.1"
    """Bound address; the control API has no password, so keep it a loopback one."""
    port: int = 0
    """0 lets the system choose; read `SimulatorService.port`."""
    listener: int | None = None
    """Descriptor of a socket that listens already, which is used instead of opening the port."""
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    """A second pair of REST credentials (`SK…`); unused when empty."""
    region: str = ""
    """Region of Twilio's that both pairs of credentials are of, such as `ie1`: a request to a host
    of another region is refused with 20003. Empty: any."""
    caller_ids: tuple[str, ...] = ("+15005550006",)
    """Numbers of others that are verified for the account, and so accepted as `From`; the default
    is Twilio's valid test number."""
    own_numbers: tuple[str, ...] = ()
    """Numbers of the account, accepted as `From` as well."""
    mute_numbers: tuple[str, ...] = ()
    """Numbers of the account that cannot do voice, and place no calls."""
    account_status: str = "active"
    account_type: str = "Full"
    """`Full` or `Trial`, as the Account resource says; `trial_numbers` bounds its calls."""
    trial_numbers: tuple[tuple[str, str], ...] = ()
    """Recipients that a trial account may call, and the number that each is called from; an empty
    one is of a recipient who has not entered the code yet. Empty: calls go anywhere."""
    voice_disabled: bool = False
    """Whether each create is refused with 10005."""
    live_calls_max: int = 0
    """Calls at once above which a create is refused with 10004; 0: any number."""
    api_key_rights: tuple[str, ...] | None = None
    """What the API key may do, such as `/twilio/voice/calls/create`, if it is a Restricted one;
    None for a Standard one."""
    countries_off: tuple[str, ...] = ()
    """ISO 3166 codes that the dialling permissions show as switched off, beside those of high risk
    altogether; `*` is all. Calls there are placed all the same."""
    high_risk_on: tuple[str, ...] = ()
    """ISO 3166 codes whose numbers of high risk they show as open."""
    ca_file: Path | None = None
    """Certificates in PEM of authorities that media sockets and webhooks trust beside the
    system's."""
    dispatch_delay_s: float = 0.1
    """From a call's turn in the queue until it is dialled: time for the reply to travel."""
    ring_s: float = 2.0
    """From ringing to answer, or to busy or failure."""
    slow_answer_s: float = 12.0
    """Ring time of the slow-answer script."""
    hangup_after_s: float = 5.0
    """When the scripts that hang up, drop or freeze do so: a hang-up counts from the answer, a
    fault of the stream from the stream's start."""
    detection_s: float = 1.0
    """How long answering machine detection takes."""
    echo_delay_ms: int = 0
    """Extra delay of the echo script; frames of 20 ms."""
    cps: float = 1.0
    """Calls dispatched per second; Twilio's default for an account is 1."""
    concurrency_max: int = 100
    """Calls between dispatch and end at a time; further ones stay queued."""
    queue_max: int = 1000
    """Queued calls before a create is refused with 20429."""
    rest_concurrency_max: int = 100
    """REST requests served at a time before 20429."""
    price_delay_s: float = 2.0
    """From a call's end until its resource shows a price."""
    time_limit_default_s: int = 14400
    """Longest call unless `TimeLimit` says less: Twilio ends calls after four hours."""
    trial_limit_s: int = 600
    """Longest call of the trial script (warning 13805)."""
    create_hold_s: float = 20.0
    """How long the ambiguous-create script keeps its reply back."""
    callback_late_s: float = 5.0
    """Delay of status callbacks in the late-callbacks script."""
    broken_stream_ends_call: bool = False
    """What follows a media socket that broke: the end of the call, or the next TwiML verb.
    Twilio documents only an orderly close (next verb)."""
    heard_s_max: int = 300
    """Seconds of what the called party heard that are kept per call; 0 keeps none."""
    calls_kept: int = 1000
    """Ended calls that REST still knows."""
    recordings_kept: int = 64
    """Ended calls whose heard audio is still in memory."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense, naming the knob."""
        if not _ACCOUNT_SID.fullmatch(self.account_sid):
            raise SimulatorSettingsError("account_sid", "must be AC and 32 lower-case hex digits")
        if not self.auth_token:
            raise SimulatorSettingsError("auth_token", "must not be empty")
        if not _REGION.fullmatch(self.region):
            raise SimulatorSettingsError("region", "must be such as ie1")
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise SimulatorSettingsError(name, f"must be between {low} and {high}")
