"""A button and what finds it, for tests of the routes of visitors."""

from __future__ import annotations

from datetime import UTC, datetime

from database.errors import StoreUnavailableError
from gateway.buttons.door import ButtonDoor
from gateway.embed.found_button import FoundButton
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.rules import ButtonRules
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import Account, Accounts, Epochs

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OWN = "https://calls.example.com"
HOST = "https://shop.example"
KEY = publishable_key(KeyMode.LIVE, b"1" * 32)
RULES = ButtonRules(title="Sales", origins=(HOST,), destination="+15005551000")
BUTTON = FoundButton(
    "b1", "alice", "k1", KeyMode.LIVE, RULES, is_paused=False, key=KEY, ends_at=None
)


class Buttons:
    """`embed.found_button.ButtonKeys` in memory."""

    def __init__(self):
        self.by = {KEY: BUTTON}
        self.asked, self.is_away = 0, False

    async def by_key(self, key):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.by.get(key)


class Shop:
    """One node's door, with a clock that the test moves."""

    def __init__(self):
        self.buttons, self.accounts, self.epochs = Buttons(), Accounts(), Epochs()
        self.accounts.by_hash["x"] = Account()
        self.velocity = Velocity()
        self.now, self.now_ns = NOW, 0
        self.door = ButtonDoor(
            self.buttons,
            self.accounts,
            self.epochs,
            self.velocity,
            own_origins={OWN},
            clock_ns=lambda: self.now_ns,
            utc_now=lambda: self.now,
        )
