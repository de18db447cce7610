"""One simulated Stripe account: its parts, composed. Pure: the time is an argument everywhere."""

from __future__ import annotations

from simulators.payments.checkout import Checkout
from simulators.payments.customers import Customers
from simulators.payments.disputes import Disputes
from simulators.payments.form import Form
from simulators.payments.intents import Intents
from simulators.payments.refunds import Refunds
from simulators.payments.resources import Json
from simulators.payments.settings import PaymentSimulatorSettings
from simulators.payments.world import World


class MerchantAccount:
    """Everything that can be done with one account.

    Args:
        settings: the account.
        origin: where the hosted page is.
    """

    def __init__(self, settings: PaymentSimulatorSettings, origin: str) -> None:
        self.world = World(settings, origin)
        self.customers = Customers(self.world)
        # In this order: checkout takes the place of the intents' listener when it is made.
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
