"""Says what refusals of watching mean to the outside, by their codes; part of `errors.PROBLEMS`.

Of the live feed, its alarms, supervisors and nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.problem import Problem

WATCHING_PROBLEMS: Final[Mapping[str, Problem]] = {
    "call_not_answered": Problem(
        409, "Nobody has answered this call yet.", "Try again once somebody has.", retry=True
    ),
    "supervision_refused": Problem(
        403,
        "The account of this call lets nobody supervise it, or not as far as that.",
        "Ask its holder to allow it at /account/supervision, or the operator.",
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
        "The node of this gateway that is asked does not answer.",
        "Try again in a few seconds: by then it may have done what was asked for.",
        retry=True,
    ),
    "alarm_not_found": Problem(
        404, "There is no such alarm, or it is over.", "Look which alarms stand."
    ),
    "too_many_silences": Problem(
        409, "Too many alarms are silenced.", "Take back some that are not needed any more."
    ),
    "feed_full": Problem(
        503,
        "No more people can watch live calls at this process.",
        "Try again in a moment.",
        retry=True,
    ),
    "too_many_viewers": Problem(
        429,
        "The account's calls are watched in too many places.",
        "Close the page in some of them, then try again.",
        retry=True,
    ),
}
