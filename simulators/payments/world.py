"""Holds what all parts of one simulated account share: objects, events, appointments, balance.

Pure. Knows how events are created and money is counted; the parts decide what happens when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from simulators.payments.cards import Behaviour
from simulators.payments.clock import NS_PER_S
from simulators.payments.faults import Faults
from simulators.payments.outbox import Outbox
from simulators.payments.registry import Registry
from simulators.payments.resources import (
    BalanceTransaction,
    Cause,
    Event,
    EventData,
    Json,
    Resource,
    to_json,
)
from simulators.payments.schedule import Schedule
from simulators.payments.settings import PaymentSimulatorSettings


@dataclass(slots=True)
class MethodState:
    """How a payment method behaves, and whether it can be used again."""

    behaviour: Behaviour
    is_used: bool = False
    """Whether it was charged: it can be charged again only if it belongs to a customer."""


class World:
    """The shared state of one account.

    Args:
        settings: the account.
        origin: where the hosted page is.
    """

    def __init__(self, settings: PaymentSimulatorSettings, origin: str) -> None:
        self.settings = settings
        self.origin = origin
        self.faults = Faults()
        self.outbox = Outbox(settings.webhook_retries_s, self.faults)
        self.schedule = Schedule()
        self.on_forget: list[Callable[[str], None]] = [self._forget]
        """Called with the identifier of each object that is forgotten."""
        self.registry = Registry(
            settings.seed, settings.objects_kept, self._on_forgotten, {Event: settings.events_kept}
        )
        self.method_states: dict[str, MethodState] = {}
        """By payment method."""
        self.balance: Counter[str] = Counter()
        """By currency, in its smallest unit; disputes can make it negative."""
        self.cause = Cause()
        """The request that causes the events of this moment, if it is one."""

    def emit(
        self, event_type: str, resource: Resource, now_ns: int, before: Json | None = None
    ) -> None:
        """Record an event, and queue its delivery where there is a receiver.

        Args:
            event_type: Stripe's name for it.
            resource: the object as it is now.
            now_ns: the time, in nanoseconds of the epoch.
            before: the object as it was, for the attributes that the event changed.
        """
        # A copy: the object goes on changing, and a delivery that is repeated must say the same.
        snapshot = to_json(resource)
        data = EventData(object=snapshot)
        if before is not None:
            data.previous_attributes = {
                name: before.get(name)
                for name, value in snapshot.items()
                if before.get(name) != value
            }
        has_receiver = bool(self.settings.webhook_url)
        # Kept even where there is no receiver: clients can list events instead.
        event = Event(
            id=self.registry.new_id(Event.PREFIX),
            created=now_ns // NS_PER_S,
            type=event_type,
            data=data,
            request=self.cause,
            pending_webhooks=int(has_receiver),
        )
        self.registry.add(event)
        if has_receiver:
            self.outbox.add(event, now_ns)

    def book(
        self, kind: str, amount: int, currency: str, source: str, now_ns: int, *, category: str = ""
    ) -> BalanceTransaction:
        """Move money into the balance, or out of it, and return the record of it."""
        # Counted beside the movements, for these are forgotten at a bound and the balance is not.
        self.balance[currency] += amount
        return self.registry.add(
            BalanceTransaction(
                id=self.registry.new_id(BalanceTransaction.PREFIX),
                created=now_ns // NS_PER_S,
                available_on=now_ns // NS_PER_S,
                type=kind,
                amount=amount,
                net=amount,
                currency=currency,
                source=source,
                reporting_category=category or kind,
            )
        )

    def later(
        self, object_id: str, delay_s: float, now_ns: int, action: Callable[[int], None]
    ) -> None:
        """Schedule an action on an object, in place of the one that it had."""
        self.schedule.set(object_id, now_ns + round(delay_s * NS_PER_S), action)

    # Parts keep tables of their own under these identifiers: memory stays bounded only if all of
    # them forget.
    def _on_forgotten(self, object_id: str) -> None:
        for forget in self.on_forget:
            forget(object_id)

    def _forget(self, object_id: str) -> None:
        self.schedule.drop(object_id)
        self.method_states.pop(object_id, None)


def encode(body: Resource | Json) -> bytes:
    """Return JSON as Stripe writes it: indented by two spaces."""
    return msgspec.json.format(msgspec.json.encode(body), indent=2)
