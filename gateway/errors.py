"""Defines the gateway's errors, and what each failure means to the outside.

    GatewayError
    ├── SettingsError          a setting that is unknown, unreadable or out of its range
    ├── PeerProtocolError      a peer broke the protocol; ends one leg
    ├── OfferError             a browser's WebRTC offer that is not accepted
    ├── CarrierError           the carrier refused or could not be reached; `retryable`
    ├── PaymentError           the payment service refused or could not be reached; `retryable`
    ├── RequestRefusedError    a request that a person can correct; becomes problem+json
    │   └── TooFastError       a request that a velocity limit refuses
    └── UnexpectedEventError   a bug of ours; the event is logged and ignored, the call goes on

`PROBLEMS` maps every public code to its HTTP status, its words and whether to retry.
"""

from __future__ import annotations

from datetime import datetime

from gateway.button_problems import BUTTON_PROBLEMS
from gateway.cause import CarrierRefusal, Cause
from gateway.payment_problems import PAYMENT_PROBLEMS
from gateway.problem import Problem
from gateway.watching_problems import WATCHING_PROBLEMS
from gateway.webhook_problems import WEBHOOK_PROBLEMS


class GatewayError(Exception):
    """Root of the tree; `code` is stable and public."""

    code = "gateway_error"


class SettingsError(GatewayError):
    """A setting with which the gateway does not start; the message names it."""

    code = "bad_setting"


class PeerProtocolError(GatewayError):
    """A peer sent what the protocol does not allow."""

    code = "bad_message"

    def __init__(self, message: str, *, close_code: int = 4400) -> None:
        super().__init__(message)
        self.close_code = close_code


class OfferError(GatewayError):
    """A WebRTC offer that is not accepted; `code` is a key of `OFFER_REFUSALS`."""

    code = "bad_offer"

    def __init__(self, code: str) -> None:
        super().__init__(OFFER_REFUSALS[code])
        self.code = code


OFFER_REFUSALS: dict[str, str] = {
    "malformed": "The offer is not SDP.",
    "too_long": "The offer is too long.",
    "no_audio": "The offer has no audio.",
    "no_pcmu": "The offer has no PCMU.",
    "no_ice": "The offer has no ICE credentials.",
    "no_fingerprint": "The offer has no SHA-256 fingerprint.",
    "no_rtcp_mux": "The offer does not put RTCP beside RTP.",
    "bad_setup": "The offer does not leave the passive end of DTLS to us.",
    "other_peer": "The offer is of another browser.",
    "session_ended": "The WebRTC session has ended.",
    "not_ready": "The call is not ready for an offer; offer again after `ready`.",
    "webrtc_off": "WebRTC is not offered here.",
    "sessions_full": "The gateway takes no more WebRTC sessions.",
    "pending_full": "Too many WebRTC sessions are being set up.",
    "source_full": "Too many WebRTC sessions of yours are being set up.",
}
"""Why an offer is not accepted, for a person."""


class CarrierError(GatewayError):
    """The carrier refused, failed or could not be reached."""

    code = "carrier_error"

    def __init__(
        self,
        message: str,
        *,
        cause: Cause,
        retryable: bool = False,
        ambiguous: bool = False,
        refusal: CarrierRefusal | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.retryable = retryable
        """The request was certainly not carried out and may be sent again."""
        self.ambiguous = ambiguous
        """The request may have been carried out although no answer came."""
        self.refusal = refusal
        """What the carrier answered; None where it gave no answer."""
        self.status = status

    @property
    def carrier_code(self) -> int:
        """The carrier's own code; 0 for none."""
        return 0 if self.refusal is None else self.refusal.code

    @property
    def carrier_text(self) -> str:
        """The carrier's own words; they name no number of a person."""
        return "" if self.refusal is None else self.refusal.text


class PaymentError(GatewayError):
    """The payment service refused, failed or could not be reached."""

    code = "payment_error"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        service_code: str = "",
        status: int = 0,
        payment_intent_id: str = "",
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether the same request, with the same idempotency key, may work later."""
        self.service_code = service_code
        """The service's own word, such as `resource_missing`; a card's decline code if it was
        declined."""
        self.status = status
        self.payment_intent_id = payment_intent_id
        """The intent that a declined card was for."""

    @property
    def is_missing(self) -> bool:
        """Whether the service knows no such object."""
        return self.service_code == "resource_missing"

    @property
    def is_key_in_use(self) -> bool:
        """Whether a request with the same idempotency key is still being answered."""
        return self.service_code == "idempotency_key_in_use"

    @property
    def is_key_spent(self) -> bool:
        """Whether the idempotency key belongs to another request, or only repeats a failure.

        The key will give no other answer, and does not say what became of the first request: the
        service must be asked.
        """
        return self.service_code in {"idempotency_error", "failure_replayed"}

    @property
    def is_refusal(self) -> bool:
        """Whether the service has refused for good, and has done nothing."""
        return not (self.retryable or self.is_key_in_use or self.is_key_spent)


class UnexpectedEventError(GatewayError):
    """An event that the transition table does not allow in the call's state."""

    code = "unexpected_event"

    def __init__(self, state: str, event: str) -> None:
        super().__init__("An event that this state of the call does not allow.")
        self.state = state
        self.event = event


class FormSentBeforeError(GatewayError):
    """The form of a page was received before, and what it asks for was done then."""

    code = "form_sent_before"


class RequestRefusedError(GatewayError):
    """A request refused for a reason its sender can act on; `code` is a key of `PROBLEMS`."""

    def __init__(
        self,
        code: str,
        *,
        field: str = "",
        scope: str = "",
        retry_after_s: int = 0,
        opens_at: datetime | None = None,
        reason: str = "",
    ) -> None:
        # The text is static: what it is about goes into fields, and no number or token into a log.
        super().__init__(PROBLEMS[code].message)
        self.code = code
        self.field = field
        self.scope = scope
        """The scope that the key lacks; empty for other refusals."""
        self.retry_after_s = retry_after_s
        """When the same request may succeed; 0 if unknown."""
        self.reason = reason
        """A word for what is wrong with the field; empty where the code says all."""
        self.opens_at = opens_at
        """When a button opens that is closed; None if that is not known, or not the reason."""


def frozen_account(*, restricted: bool) -> RequestRefusedError:
    """Return the refusal of a frozen account: whoever restricted their own can end that."""
    return RequestRefusedError("account_restricted" if restricted else "account_frozen")


class TooFastError(RequestRefusedError):
    """A request that a velocity limit refuses."""

    def __init__(
        self,
        code: str,
        *,
        retry_after_s: int = 0,
        limit: str = "",
        amount: int = 0,
        window_s: int = 0,
    ) -> None:
        super().__init__(code, retry_after_s=retry_after_s)
        self.limit = limit
        """Name of the limit, of so many uses within a window; empty where it counts no requests."""
        self.amount = amount
        self.window_s = window_s


PROBLEMS: dict[str, Problem] = {
    "bad_request": Problem(
        400, "The request could not be understood.", "Correct it and send it again."
    ),
    "bad_message": Problem(
        400, "A message could not be understood.", "Check it against the protocol.", close_code=4400
    ),
    "message_flood": Problem(
        429, "Too many messages in a second.", "Send fewer control messages.", close_code=4429
    ),
    "unauthorized": Problem(
        401,
        "The API key is missing, wrong, expired or revoked, and nobody is signed in.",
        "Send a valid key as a bearer token, or sign in.",
    ),
    "two_credentials": Problem(
        400,
        "The request has an API key and the cookie of a session.",
        "Send one of the two.",
    ),
    "sign_up_closed": Problem(403, "Nobody can make an account here.", "Ask the operator for one."),
    "cross_origin": Problem(
        403, "The request comes from another site's page.", "Open the page here, and try again."
    ),
    "address_unproven": Problem(
        403,
        "Nobody has confirmed the e-mail address of this account yet.",
        "Open the link in the mail that was sent there, or have it sent again at /account.",
    ),
    "step_up_needed": Problem(
        403,
        "Whoever is signed in must prove once more who they are before this.",
        "Confirm it at /confirm, and try again within ten minutes.",
    ),
    "terms_changed": Problem(
        403,
        "The terms have changed since the holder of this account accepted them.",
        "Read and accept them at /account/terms.",
    ),
    "scope_missing": Problem(
        403,
        "This API key is not allowed to do that.",
        "Use a key that has the scope named here, or ask the operator for one.",
    ),
    "bad_signature": Problem(
        403,
        "The signature of the request is missing or wrong.",
        "Check the auth token and the public origin.",
    ),
    "bad_origin": Problem(
        403,
        "This page may not place calls here.",
        "Open the phone from its own address, or have the page's origin, such as"
        " https://www.example.com, added: a button's to its list of sites, the phone's to"
        " CALLER_ALLOWED_ORIGINS.",
    ),
    "bad_token": Problem(
        403,
        "The call token is wrong, used or too old.",
        "Ask for a new token and connect at once.",
        retry=True,
    ),
    "bad_resume": Problem(
        403,
        "This call cannot be taken up again.",
        "Place a new call.",
    ),
    "start_timeout": Problem(
        408,
        "No start message came in time.",
        "Send the start message right after connecting.",
        retry=True,
    ),
    "not_found": Problem(404, "There is no such thing here.", "Check the address."),
    "account_not_found": Problem(
        404, "There is no such account, or nobody signs in to it.", "Check the account's id."
    ),
    "network_refused": Problem(
        403,
        "Operators' keys are not accepted from this address.",
        "Send the request from a network that CALLER_ADMIN_NETWORKS names.",
    ),
    "balance_too_low": Problem(
        409, "The account has less than what is to be taken back.", "Take back less."
    ),
    "data_request_not_open": Problem(
        404, "No open request has this number.", "List those that are open."
    ),
    "credit_reference_reused": Problem(
        409,
        "This reference was used for a credit of another amount.",
        "Nothing was booked. Use a new reference for each new credit.",
    ),
    "call_not_found": Problem(404, "There is no such call.", "Check the call's id."),
    "call_ended": Problem(409, "The call has ended already.", "Nothing is left to do."),
    "method_not_allowed": Problem(
        405, "This address does not allow that method.", "See the documentation of the API."
    ),
    "payload_too_large": Problem(413, "The request is too large.", "Send less.", close_code=1009),
    "form_of_another_account": Problem(
        409,
        "This page was opened by another account that was signed in with this browser.",
        "Nothing was changed. Open the page again.",
    ),
    "idempotency_key_reused": Problem(
        422,
        "This idempotency key was used for a request with another body.",
        "Use a new key for each new thing.",
    ),
    "unsupported_media_type": Problem(
        415,
        "The body is not of a media type that is accepted here.",
        "Send a form as application/x-www-form-urlencoded.",
    ),
    "number_invalid": Problem(
        422,
        "This is not a valid phone number.",
        "Write it in full with its country code, such as +442079460018.",
    ),
    "number_too_short": Problem(
        422,
        "This number is too short.",
        "Write it in full with its country code, such as +442079460018.",
    ),
    "number_emergency": Problem(
        422,
        "Emergency numbers cannot be called from here.",
        "Use a phone to reach the emergency services.",
    ),
    "number_premium": Problem(
        422, "Premium-rate and special-cost numbers cannot be called.", "Call an ordinary number."
    ),
    "number_high_risk": Problem(
        422,
        "Calls to this destination are closed, for it is often used for fraud.",
        "Call another number, or ask the operator to open this destination.",
    ),
    "country_closed": Problem(
        403,
        "This account does not call this country yet.",
        "Open the country at /account/countries, or ask the operator to.",
    ),
    "number_in_address": Problem(
        400,
        "A phone number does not belong in an address, because proxies log addresses.",
        "Send it as `destination` in the body of POST /v1/rates; a `prefix` has at most 7 digits.",
    ),
    "destination_not_priced": Problem(
        422,
        "Calls to this destination are not offered.",
        "Call another number, or ask the operator to price this destination.",
    ),
    "codec_unknown": Problem(422, "This audio format is not known.", "Use pcmu or pcm16."),
    "insufficient_credit": Problem(
        402,
        "The credit does not cover the start of this call.",
        "Top up the account and call again.",
    ),
    "cap_reached": Problem(
        402,
        "The spending limit of this account or key is reached.",
        "Wait for the next day or month, or ask the operator to raise the limit.",
    ),
    "new_card_limited": Problem(
        402,
        "This account has spent what it may in a day so soon after its first payment.",
        "Call again tomorrow (UTC), or ask the operator to lift this limit.",
    ),
    "account_frozen": Problem(
        403,
        "This account is not allowed to place calls.",
        "See /account for the reason, or ask the operator.",
    ),
    "account_restricted": Problem(
        403,
        "The holder of this account wants its data kept and not used: no calls and no top-ups.",
        "End the restriction under /account/restriction.",
    ),
    "too_many_calls": Problem(
        429, "Too many calls at once on this account.", "End another call first.", retry=True
    ),
    "rate_limited": Problem(
        429,
        "Too many requests in a short time.",
        "Wait a little and try again.",
        retry=True,
        close_code=1013,
    ),
    "calls_limited": Problem(
        429,
        "Too many calls were started in a short time.",
        "Wait a little and call again, or ask the operator to raise the limit.",
        retry=True,
        close_code=1013,
    ),
    "number_limited": Problem(
        429,
        "This number was called too often in a short time.",
        "Wait a little and call again, or ask the operator to raise the limit.",
        retry=True,
        close_code=1013,
    ),
    "short_calls_limited": Problem(
        429,
        "Too many calls of this account ended right after the answer.",
        "Wait and call again later, or ask the operator to look at these calls.",
        retry=True,
        close_code=1013,
    ),
    "range_limited": Problem(
        429,
        "Too many calls to numbers like this one ended right after the answer.",
        "Wait and call again later, or ask the operator to look at these calls.",
        retry=True,
        close_code=1013,
    ),
    **BUTTON_PROBLEMS,
    **WATCHING_PROBLEMS,
    **PAYMENT_PROBLEMS,
    **WEBHOOK_PROBLEMS,
    "too_many_checks": Problem(
        429, "A check of the line is running already.", "Wait until it is over.", retry=True
    ),
    "gateway_full": Problem(
        503,
        "All lines of this gateway are in use.",
        "Try again in a moment.",
        retry=True,
        close_code=1013,
    ),
    "gateway_draining": Problem(
        503,
        "This gateway is being restarted.",
        "Try again in a moment.",
        retry=True,
        close_code=1012,
    ),
    "store_unavailable": Problem(
        503,
        "Credits cannot be checked right now.",
        "Try again in a moment.",
        retry=True,
        close_code=1013,
    ),
    "internal_error": Problem(
        500,
        "Something failed on our side.",
        "Try again; if it stays, tell the operator.",
        retry=True,
        close_code=1011,
    ),
}
"""Every public code -> HTTP status, sentence, next step, retry, WebSocket close code."""


# Exit codes of commands; `docs/operations.md` says what an operator does about each.

EXIT_FINDINGS = 1
"""The command did its work and found something that is wrong."""
EXIT_SETTINGS = 2
"""The settings or the arguments must be corrected."""
EXIT_UNAVAILABLE = 3
"""A service or an address was not available, or a service refused us."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, in the convention of shells: 128 plus the signal's number."""
EXIT_CRASHED = 70
"""The program itself is wrong (EX_SOFTWARE of sysexits.h)."""
