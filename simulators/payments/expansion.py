"""Implements `expand[]`: replaces identifiers in a reply by their objects. Pure.

https://docs.stripe.com/api/expanding_objects
"""

from __future__ import annotations

from typing import Final

from simulators.payments.errors import ApiError
from simulators.payments.registry import Registry
from simulators.payments.resources import Json, Refund, to_json

PATHS_MAX: Final = 20
DEPTH_MAX: Final = 5
_REFUNDS_SHOWN: Final = 10
_EXPANDABLE: Final = frozenset(
    {
        "balance_transaction",
        "charge",
        "customer",
        "default_payment_method",
        "failure_balance_transaction",
        "latest_charge",
        "payment_intent",
        "payment_method",
        "source",
    }
)


def expand(reply: Json, paths: tuple[str, ...], registry: Registry) -> Json:
    """Replace identifiers by objects, in place, and return the reply.

    Args:
        reply: a snapshot of an object, or of a list of them.
        paths: such as `latest_charge.refunds`, or `data.payment_intent` in a list.
        registry: where the objects are.

    Raises:
        ApiError: a path names nothing that can be expanded, or there are too many.
    """
    if len(paths) > PATHS_MAX:
        raise ApiError("You cannot expand that many properties.", param="expand")
    for path in paths:
        names = path.split(".")
        if len(names) > DEPTH_MAX:
            raise ApiError("You cannot expand more than 4 levels of a property.", param="expand")
        _expand(reply, names, registry, path)
    return reply


def _expand(node: Json, names: list[str], registry: Registry, path: str) -> None:
    name, *rest = names
    # In a list the rest of the path applies to each of its objects.
    if isinstance(node.get("data"), list) and name == "data" and rest:
        items = node["data"]
        assert isinstance(items, list), "looked at"
        for item in items:
            _expand(item, rest, registry, path)
        return
    if node.get("object") == "charge" and name == "refunds":
        # Absent unless asked for: Stripe includes the refunds of a charge on request only.
        node.setdefault(name, _refunds(str(node["id"]), registry))
    value = node.get(name)
    if isinstance(value, str) and name in _EXPANDABLE:
        resource = registry.look_up(value)
        # The object may have been forgotten at a bound; its identifier then stays.
        value = node[name] = value if resource is None else to_json(resource)
    # A field that is null can be expanded, to null; one that is unknown or plain is a mistake.
    elif not isinstance(value, dict) and (name not in node or value is not None):
        raise ApiError(f"This property cannot be expanded ({path[:100]}).", param="expand")
    if rest and isinstance(value, dict):
        _expand(value, rest, registry, path)


def _refunds(charge_id: str, registry: Registry) -> Json:
    # Newest first, as in every list.
    refunds = [to_json(r) for r in registry.newest(Refund) if r.charge == charge_id]
    return {
        "object": "list",
        "data": refunds[:_REFUNDS_SHOWN],
        "has_more": len(refunds) > _REFUNDS_SHOWN,
        "url": f"/v1/charges/{charge_id}/refunds",
    }
