"""Defines every refusal: how it is reported to programs and to people, by its public code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Problem:
    """How a refusal is reported to programs (status) and to people (message, action)."""

    status: int
    message: str
    action: str
    retry: bool = False
    close_code: int = 1008
    """Of a WebSocket: 1008 refuses by policy (RFC 6455 7.4.1); 1012 and 1013, registered with IANA,
    ask to try again."""


PROBLEMS: Final[Mapping[str, Problem]] = {
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
        "The API key is missing, wrong, expired or revoked, and you are not signed in.",
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
        "The e-mail address of this account has not been confirmed yet.",
        "Open the link in the mail that was sent there, or request it again at /account.",
    ),
    "step_up_needed": Problem(
        403,
        "This needs a fresh proof of who you are.",
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
        404, "There is no such account, or it has no sign-in.", "Check the account's id."
    ),
    "network_refused": Problem(
        403,
        "Operators' keys are not accepted from this address.",
        "Send the request from a network that CALLER_ADMIN_NETWORKS names.",
    ),
    "balance_too_low": Problem(
        409, "The account has less than the amount to take back.", "Take back less."
    ),
    "data_request_not_open": Problem(
        404, "There is no open request with this number.", "List those that are open."
    ),
    "credit_reference_reused": Problem(
        409,
        "This reference was used for a credit of another amount.",
        "Nothing was booked. Use a new reference for each credit.",
    ),
    "call_not_found": Problem(404, "There is no such call.", "Check the call's id."),
    "call_ended": Problem(409, "The call has ended already.", "Nothing is left to do."),
    "method_not_allowed": Problem(
        405, "This address does not allow that method.", "See the documentation of the API."
    ),
    "payload_too_large": Problem(413, "The request is too large.", "Send less.", close_code=1009),
    "form_of_another_account": Problem(
        409,
        "This page was opened with another account that was signed in in this browser.",
        "Nothing was changed. Open the page again.",
    ),
    "idempotency_key_reused": Problem(
        422,
        "This idempotency key was used for a request with another body.",
        "Use a new key for each new request.",
    ),
    "unsupported_media_type": Problem(
        415,
        "The body has a media type that is not accepted here.",
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
        "Calls to this destination are closed, because it is often used for fraud.",
        "Call another number, or ask the operator to open this destination.",
    ),
    "country_closed": Problem(
        403,
        "This account cannot call this country yet.",
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
        "This account has reached its daily limit for the time after a first payment.",
        "Call again tomorrow (UTC), or ask the operator to lift this limit.",
    ),
    "account_frozen": Problem(
        403,
        "This account is not allowed to place calls.",
        "See /account for the reason, or ask the operator.",
    ),
    "account_restricted": Problem(
        403,
        "At its holder's request this account's data are kept but not used: no calls, no top-ups.",
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
    # Of buttons.
    "button_not_found": Problem(
        404, "This call button is no longer in use.", "Reach the owner of the page otherwise."
    ),
    "button_closed": Problem(409, "Nobody takes calls now.", "Call during the opening hours."),
    "button_paused": Problem(409, "This call button is switched off for now.", "Call again later."),
    "button_busy": Problem(
        409, "All lines are in use.", "Call again in a few minutes.", retry=True, close_code=1013
    ),
    "button_limited": Problem(
        429, "Too many calls from here.", "Wait and call again.", retry=True, close_code=1013
    ),
    "budget_reached": Problem(
        409, "This call button takes no more calls for now.", "Call again on another day."
    ),
    "button_rules_wrong": Problem(
        422,
        "A rule of the button is wrong: the field is named here, and `reason` says how.",
        "Correct it and send the whole button again.",
    ),
    "buttons_too_many": Problem(
        409, "The account has reached its limit of buttons.", "Delete one that is not used."
    ),
    "button_keys_too_many": Problem(
        409,
        "This button has reached its limit of working keys.",
        "Wait until one of them has ended.",
    ),
    "destination_unproven": Problem(
        422,
        "This number has not been proven to be the account's.",
        "Prove it at /account/destinations, or use a proven one.",
    ),
    "destination_not_found": Problem(
        404, "The account has not proven this number.", "List its numbers at /v1/destinations."
    ),
    "human_check_failed": Problem(
        403,
        "The check that a person is calling failed.",
        "Repeat the check.",
        retry=True,
    ),
    "human_check_unavailable": Problem(
        503,
        "Whether a person is calling cannot be checked right now.",
        "Try again in a moment.",
        retry=True,
    ),
    "button_unavailable": Problem(
        409, "This call button takes no calls right now.", "Reach the owner of the page otherwise."
    ),
    "challenge_wrong": Problem(
        422, "The proof of work is wrong or too old.", "Solve a new challenge.", retry=True
    ),
    "visitor_needed": Problem(
        422, "A call with a button needs its visitor.", "Send your own id for them as `visitor`."
    ),
    "challenge_used": Problem(
        409, "The proof of work was used before.", "Solve a new challenge.", retry=True
    ),
    # Of watching and supervising calls.
    "call_not_answered": Problem(
        409, "This call has not been answered yet.", "Try again once it has.", retry=True
    ),
    "supervision_refused": Problem(
        403,
        "This account does not allow that kind of supervision.",
        "Ask its holder, at /account/supervision, or the operator to allow it.",
    ),
    "supervision_changed": Problem(
        409,
        "Supervisors of this account's calls are announced from now on.",
        "Join again: then a tone tells both sides that you are there.",
        retry=True,
        close_code=1008,
    ),
    "already_supervised": Problem(
        409,
        "Somebody else supervises this call.",
        "Wait until they have left.",
        retry=True,
        close_code=1013,
    ),
    "holder_decides": Problem(
        403,
        "This account belongs to a person, who decides about supervision.",
        "Ask them to set it at /account/supervision.",
    ),
    "node_not_found": Problem(404, "No such node runs.", "List those that do."),
    "node_stopping": Problem(
        409, "The node is about to stop, and takes no new calls.", "Start it again first."
    ),
    "node_silent": Problem(
        503,
        "The node that was asked does not answer.",
        "Try again in a few seconds: by then it may have done it.",
        retry=True,
    ),
    "alarm_not_found": Problem(
        404, "There is no such alarm, or it is over.", "Check the active alarms."
    ),
    "too_many_silences": Problem(
        409, "Too many alarms are silenced.", "End some silences that are no longer needed."
    ),
    "feed_full": Problem(
        503,
        "This process cannot take more viewers of live calls.",
        "Try again in a moment.",
        retry=True,
    ),
    "too_many_viewers": Problem(
        429,
        "The account's calls are watched in too many places.",
        "Close the page in some of them, then try again.",
        retry=True,
    ),
    # Of payments.
    "payments_off": Problem(
        501, "Top-ups by card are not set up here.", "Ask the operator for credit."
    ),
    "payment_unavailable": Problem(
        503,
        "The payment service cannot be reached right now.",
        "Nothing was charged. Try again in a moment.",
        retry=True,
    ),
    "amount_out_of_range": Problem(
        422,
        "This amount cannot be charged.",
        "Choose an amount between the smallest and the largest that are offered.",
    ),
    "payment_not_found": Problem(404, "There is no such payment.", "Check the payment's id."),
    "refund_reference_reused": Problem(
        409,
        "This payment has another refund with this reference, or one that failed.",
        "Nothing was sent back. Use a new reference for each refund.",
    ),
    "payment_key_reused": Problem(
        409,
        "This idempotency key was used for another payment.",
        "Use a new key for each new payment.",
    ),
    "refund_too_large": Problem(
        409,
        "Only unspent credit can be refunded, and no more than was paid.",
        "Refund a smaller amount.",
    ),
    "no_saved_card": Problem(
        409,
        "There is no saved card to charge.",
        "Top up once, and let the card be saved.",
    ),
    "charge_in_flight": Problem(
        409,
        "The saved card is already being charged.",
        "Wait a moment; the amount is added automatically.",
        retry=True,
    ),
    "card_limit_reached": Problem(
        409,
        "That would exceed what the saved card can be charged today.",
        "Pay on the payment page instead.",
    ),
    # Of webhooks.
    "webhook_not_found": Problem(
        404, "The account has no such webhook, or no such delivery.", "Check /v1/webhooks."
    ),
    "webhook_refused": Problem(
        422,
        "Nothing can be sent to this address: `reason` says why.",
        "Use an https:// address on the internet, without a user or password, with port 443 or"
        " one from 1024 on.",
    ),
    "webhooks_too_many": Problem(
        409, "The account has reached its limit of webhooks.", "Delete one that is not used."
    ),
    "webhook_disabled": Problem(
        409, "This webhook is disabled.", 'Enable it first: PATCH it with {"disabled": false}.'
    ),
    "webhooks_off": Problem(
        501,
        "Webhook secrets cannot be created or read here.",
        "Ask the operator to set CALLER_SECOND_FACTOR_KEYS, to the same keys on all nodes.",
    ),
    "too_many_checks": Problem(
        429, "A line check is already running.", "Wait until it is over.", retry=True
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
        "Try again; if it keeps failing, tell the operator.",
        retry=True,
        close_code=1011,
    ),
}
"""Every public code -> HTTP status, sentence, next step, retry, WebSocket close code."""
