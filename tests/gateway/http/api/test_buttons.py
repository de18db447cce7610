"""`/v1/buttons`: the buttons of the key's own account, as programs read them."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.embed.ports import DayUsage, NewButton
from gateway.http.api.buttons import ButtonsApi
from gateway.http.bearer import key_hash
from tests.gateway.http.site.button_books import NUMBER, MemoryButtons, button_of, rules
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

KEY = "ck_alice"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LIVE, TEST = "pk_live_" + "a" * 24, "pk_test_" + "b" * 24


@pytest.fixture
def buttons():
    return MemoryButtons()


@pytest.fixture
def client(client_of, buttons):
    accounts = Accounts()
    accounts.by_hash[key_hash(KEY)] = Account("alice")
    api = ButtonsApi(authenticator(accounts), buttons, lambda: NOW)
    return client_of(api.routes(), authorization=f"Bearer {KEY}")


def keep(buttons, button_id, account_id="alice", **changes):
    new = NewButton(button_id, "shop", rules(**changes), LIVE, TEST)
    buttons.kept[button_id] = button_of(new, account_id)


async def test_buttons_are_listed_with_their_rules_keys_and_cost(client, buttons):
    assert (await client.get("/v1/buttons")).json() == {"buttons": []}
    keep(buttons, "b1")
    keep(buttons, "b2", origins=("https://example.com",), destination="", month_cap_micros=10**7)
    keep(buttons, "b3", "bob")
    today = NOW.date()
    buttons.used["b1"] = [
        DayUsage(today, 3, 2, 90, 1_250_000),
        DayUsage(today - timedelta(days=31), 1, 1, 1, 1),
    ]
    second, first = (await client.get("/v1/buttons")).json()["buttons"]
    assert (first["id"], first["label"], first["title"]) == ("b1", "shop", "Sales")
    assert (first["destination"], first["paused_at"]) == (NUMBER, None)
    assert (first["day_cap"]["text"], first["month_cap"]) == ("$5.00", None)
    assert first["hours"] == {"zone": "UTC", "week": [[[0, 1_440]]] * 7, "holidays": []}
    assert first["amounts"]["visitor_hour"] == 4
    assert [(key["key"], key["mode"], key["ends_at"]) for key in first["keys"]] == [
        (LIVE, "live", None),
        (TEST, "test", None),
    ]
    (used,) = first["usage"]
    assert (used["day"], used["calls"], used["cost"]["micros"]) == (str(today), 3, 1_250_000)
    assert (second["destination"], second["origins"]) == ("", ["https://example.com"])
    assert (second["month_cap"]["micros"], second["usage"]) == (10**7, [])
    assert (await client.get("/v1/buttons/b1")).json() == first


@pytest.mark.parametrize("button_id", ["b3", "nothing", "a%00b"])
async def test_other_accounts_buttons_are_none(client, buttons, button_id):
    keep(buttons, "b3", "bob")
    reply = await client.get(f"/v1/buttons/{button_id}")
    assert (reply.status_code, reply.json()["code"]) == (404, "button_not_found")
