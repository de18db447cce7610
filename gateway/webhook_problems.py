"""Says what refusals of webhooks mean to the outside, by their codes; part of `errors.PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.problem import Problem

WEBHOOK_PROBLEMS: Final[Mapping[str, Problem]] = {
    "webhook_not_found": Problem(
        404, "The account has no such webhook, or no such delivery.", "Look at /v1/webhooks."
    ),
    "webhook_refused": Problem(
        422,
        "Nothing is sent to this address: `reason` says why.",
        "Name an https:// address on the internet, without a user and a password, with port 443 or"
        " one from 1024 on.",
    ),
    "webhooks_too_many": Problem(
        409, "The account has as many webhooks as it may have.", "Delete one that is not used."
    ),
    "webhook_disabled": Problem(
        409, "This webhook is disabled.", 'Enable it first: PATCH it with {"disabled": false}.'
    ),
    "webhooks_off": Problem(
        501,
        "Secrets of webhooks cannot be made or read here.",
        "Ask the operator to set CALLER_SECOND_FACTOR_KEYS, to the same keys on all nodes.",
    ),
}
"""Code -> how it is reported."""
