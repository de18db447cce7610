"""Builds one page of a list: filtered, newest first. Pure.

https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

from simulators.payments.errors import ApiError, missing
from simulators.payments.form import Form
from simulators.payments.resources import Json, Resource, to_json

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 100
PAGE_FIELDS: Final = frozenset({"limit", "starting_after", "ending_before", "created", "expand"})
_BOUNDS: Final[dict[str, Callable[[int, int], bool]]] = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}
T = TypeVar("T", bound=Resource)


def page(
    newest: Iterable[T], form: Form, url: str, admits: Callable[[T], bool] = lambda _: True
) -> Json:
    """Return one page of a list.

    Args:
        newest: all objects of the kind, the newest first.
        form: `limit`, `starting_after` or `ending_before`, `created`.
        url: the list's path.
        admits: whether an object is wanted.

    Raises:
        ApiError: the limit is out of bounds, or a cursor names an object that is not in the list.
    """
    limit = form.integer("limit")
    if limit is None:
        limit = LIMIT_DEFAULT
    if not 1 <= limit <= LIMIT_MAX:
        raise ApiError("Invalid integer: limit must be between 1 and 100", param="limit")
    is_timely = _read_created(form)
    wanted = [known for known in newest if admits(known) and is_timely(known.created)]
    after, before = form.text("starting_after"), form.text("ending_before")
    if after and before:
        raise ApiError("You can only use one of starting_after and ending_before.")
    # Pages are walked back from the cursor: the last so many before it, not the first of the list.
    if before:
        wanted = wanted[: _position(wanted, before, "ending_before")]
        shown, has_more = wanted[-limit:], len(wanted) > limit
    else:
        # Filters come first: a cursor has to be an object of the filtered list.
        start = _position(wanted, after, "starting_after") + 1 if after else 0
        shown = list(islice(wanted, start, start + limit))
        has_more = len(wanted) > start + limit
    return {
        "object": "list",
        "data": [to_json(known) for known in shown],
        "has_more": has_more,
        "url": url,
    }


def _position(wanted: list[T], object_id: str, param: str) -> int:
    for position, known in enumerate(wanted):
        if known.id == object_id:
            return position
    raise missing("object", object_id, param)


def _read_created(form: Form) -> Callable[[int], bool]:
    if "created" not in form:
        return lambda _: True
    try:
        exact = form.integer("created")
    # A mapping of bounds is no plain number: Stripe takes both under one name.
    except ApiError:
        bounds = form.below("created")
        bounds.only(_BOUNDS)
        limits = [(_BOUNDS[name], bounds.integer(name)) for name in _BOUNDS if name in bounds]
        return lambda created: all(
            within(created, bound) for within, bound in limits if bound is not None
        )
    return lambda created: exact is None or created == exact
