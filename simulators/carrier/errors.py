"""Defines the refusals and failures of the simulated carrier, with Twilio's error codes.

    SimulatorError
      SimulatorSettingsError   a knob is out of bounds
      RestError                a REST request answered with Twilio's error body
      TwimlError               a document cannot be executed; `code` goes to the debugger
      StreamError              a media stream failed; `code` goes to the debugger and the callback
      FetchError               a TwiML URL gave no document; `code` goes to the debugger
      FrameError               a message on the stream breaks the protocol

Codes: https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from dataclasses import dataclass


class SimulatorError(Exception):
    """Root of everything the simulated carrier raises."""


class SimulatorSettingsError(SimulatorError):
    """A setting is out of bounds."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name} {rule}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row of Twilio's error dictionary."""

    status: int
    code: int
    text: str
    """Twilio's message; `{}` is the offending value."""


AUTHENTICATE = Refusal(401, 20003, "Authenticate")
NOT_AUTHORISED = Refusal(403, 70051, "Authorization Failed: missing permission {}")
ACCOUNT_NOT_ACTIVE = Refusal(401, 20005, "Account not active")
VOICE_DISABLED = Refusal(403, 10005, "Voice calling has been disabled for this account")
TOO_MANY_CALLS = Refusal(429, 10004, "Call concurrency limit exceeded")
NOT_FOUND = Refusal(404, 20404, "The requested resource {} was not found")
METHOD_NOT_ALLOWED = Refusal(405, 20004, "Method not allowed")
# Twilio: such a request was never processed and is always safe to repeat.
TOO_MANY_REQUESTS = Refusal(429, 20429, "Too Many Requests")
INTERNAL_ERROR = Refusal(500, 20500, "An internal server error has occurred")
INVALID_PARAMETER = Refusal(400, 20001, "Invalid parameter: {}")
TO_MISSING = Refusal(400, 21201, "No 'To' number is specified")
URL_MISSING = Refusal(400, 21205, "Url parameter is required.")
METHOD_INVALID = Refusal(400, 21207, "Method must be GET or POST: {}")
FROM_NOT_OWNED = Refusal(
    400,
    21210,
    "The source phone number provided, {}, is not yet verified for your account. You may only"
    " make calls from phone numbers that you've verified or purchased from Twilio.",
)
TO_INVALID = Refusal(400, 21211, "The phone number you are attempting to call, {}, is not valid.")
FROM_INVALID = Refusal(400, 21212, "The source phone number provided, {}, is not valid.")
FROM_MISSING = Refusal(400, 21213, "Caller phone number is required")
TO_UNROUTABLE = Refusal(400, 21214, "The phone number provided, {}, cannot be reached")
TO_NOT_PERMITTED = Refusal(
    400,
    21215,
    "Account not authorized to call {}. Perhaps you need to enable some international permissions",
)
TO_BLOCKED = Refusal(400, 21216, "Account not allowed to call {}")
TO_NO_NUMBER = Refusal(400, 21217, "Phone number {} does not appear to be valid")
TO_NOT_VERIFIED = Refusal(
    400,
    21219,
    "The number {} is unverified. Trial accounts may only make calls to verified numbers.",
)
FROM_NOT_ASSIGNED = Refusal(
    400, 573002, "The 'From' number {} isn't assigned to this verified Voice recipient"
)
TO_NOT_CONFIRMED = Refusal(400, 573005, "Destination number {} has not completed verification")
# Also what a second request to end a call gets, which a client has to take as done.
CALL_OVER = Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
CALLER_ID_KNOWN = Refusal(400, 21450, "Phone number already validated for your account")


class RestError(SimulatorError):
    """A REST request that is answered with Twilio's error body."""

    def __init__(self, refusal: Refusal, value: str = "") -> None:
        self.refusal = refusal
        self.message = refusal.text.format(value)
        super().__init__(self.message)


class TwimlError(SimulatorError):
    """A TwiML document that cannot be executed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FetchError(SimulatorError):
    """A TwiML URL that did not answer with a document (11200: HTTP retrieval failure)."""

    code = 11200


class StreamError(SimulatorError):
    """A media stream that could not be opened or kept."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FrameError(SimulatorError):
    """A message from the application that the stream's protocol does not allow."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
