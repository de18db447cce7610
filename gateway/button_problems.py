"""Says what refusals of buttons mean to the outside, by their codes; part of `errors.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.problem import Problem

BUTTON_PROBLEMS: Final[Mapping[str, Problem]] = {
    "button_not_found": Problem(
        404, "This call button is not in use any more.", "Reach the owner of the page otherwise."
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
        409, "The account has as many buttons as it may have.", "Delete one that is not used."
    ),
    "button_keys_too_many": Problem(
        409,
        "As many keys of this button work already as may at once.",
        "Wait until one of them has ended.",
    ),
    "destination_unproven": Problem(
        422,
        "Nobody has proven that this number is the account's.",
        "Prove it at /account/destinations, or name one that is.",
    ),
    "destination_not_found": Problem(
        404, "The account has not proven this number.", "Read them at /v1/destinations."
    ),
    "human_check_failed": Problem(
        403,
        "The check that a person is calling has failed.",
        "Let it be done once more.",
        retry=True,
    ),
    "human_check_unavailable": Problem(
        503,
        "Whether a person is calling cannot be checked right now.",
        "Try again in a moment.",
        retry=True,
    ),
    "button_unavailable": Problem(
        409, "This call button takes no calls now.", "Reach the owner of the page otherwise."
    ),
    "challenge_wrong": Problem(
        422, "The proof of work is wrong or too old.", "Solve a new challenge.", retry=True
    ),
    "visitor_needed": Problem(
        422, "A call with a button needs its visitor.", "Send your own name of them as `visitor`."
    ),
    "challenge_used": Problem(
        409, "The proof of work was used before.", "Solve a new challenge.", retry=True
    ),
}
"""Code -> HTTP status, sentence, next step, retry, WebSocket close code."""
