"""One simulated Stripe account: its parts, composed. Pure: the time is an argument everywhere."""

from __future__ import annotations

from gateway.payment_simulator.checkout import Checkout
from gateway.payment_simulator.customers import Customers
from gateway.payment_simulator.disputes import Disputes
from gateway.payment_simulator.form import Form
from gateway.payment_simulator.intents import Intents
from gateway.payment_simulator.refunds import Refunds
from gateway.payment_simulator.resources import Json
from gateway.payment_simulator.settings import PaymentSimulatorSettings
from gateway.payment_simulator.world import World


class Account:
    """Everything that can be done with one account.

    Args:
        settings: the account.
        origin: where the hosted page is.
    """

    def __init__(self, settings: PaymentSimulatorSettings, origin: str) -> None:
        self.world = World(settings, origin)
        self.customers = Customers(self.world)
        self.intents = Intents(self.world, self.customers)
        self.checkout = Checkout(self.world, self.customers, self.intents)
        self.refunds = Refunds(self.world)
        self.disputes = Disputes(self.world)

    def balance(self, form: Form) -> Json:
        """Return the account's money; all of it is available at once.

        Raises:
            ApiError: there is an unknown field.
        """
        form.only({"expand"})
        amounts = sorted(self.world.balance.items())
        available = [
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            for currency, amount in amounts
        ]
        pending = [
            {"amount": 0, "currency": currency, "source_types": {"card": 0}}
            for currency, _ in amounts
        ]
        return {"object": "balance", "available": available, "livemode": False, "pending": pending}
