"""`/v1/buttons`: the buttons of the key's own account, as programs read and change them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.buttons.acts import ButtonActs
from gateway.buttons.api import ButtonsApi
from gateway.buttons.forms import NEW
from gateway.buttons.own_buttons import OwnButtons
from gateway.buttons.ports import ButtonChange, DayUsage, NewButton, ProvenDestination
from gateway.editors import ByKey
from gateway.embed.keys import KeyMode
from gateway.embed.refusals import Reason
from gateway.http.bearer import key_hash
from gateway.limits.velocity import Use
from gateway.scopes import Scope
from tests.gateway.buttons.button_books import AT, NUMBER, MemoryButtons, button_of, rules
from tests.gateway.buttons.on_stage.test_ended_buttons import Eras
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

KEY = "ck_alice"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LIVE, TEST = "pk_live_" + "a" * 24, "pk_test_" + "b" * 24


@pytest.fixture
def buttons():
    return MemoryButtons()


class Refusals:
    """`ButtonRefusals` that has one kind."""

    async def of_day(self, _button_id, at):
        return {Reason.BUSY: 3} if at == NOW else {}


async def two_calls(_account_id, _key_id):
    return 2


@pytest.fixture
def eras():
    return Eras()


@pytest.fixture
def accounts():
    return Accounts()


@pytest.fixture
def velocity():
    return Velocity()


@pytest.fixture
def client(client_of, accounts, buttons, eras, velocity):
    accounts.by_hash[key_hash(KEY)] = Account("alice")
    accounts.by_hash[key_hash("ck_dials")] = Account("alice", scopes=frozenset({Scope.CALLS}))
    acts = ButtonActs(buttons, eras, velocity, lambda: NOW, call_seconds_max=3_600)
    own = OwnButtons(acts, Refusals(), two_calls)
    api = ButtonsApi(authenticator(accounts), own, "secret")
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
    assert first["amounts"]["visitor_hour"] == 3
    assert [(key["key"], key["mode"], key["ends_at"]) for key in first["keys"]] == [
        (LIVE, "live", None),
        (TEST, "test", None),
    ]
    (used,) = first["usage"]
    assert (used["day"], used["calls"], used["cost"]["micros"]) == (str(today), 3, 1_250_000)
    assert (second["destination"], second["origins"]) == ("", ["https://example.com"])
    assert (second["month_cap"]["micros"], second["usage"]) == (10**7, [])
    one = (await client.get("/v1/buttons/b1")).json()
    assert one == first | {"live_calls": 2, "refused_today": {"busy": 3}}


@pytest.mark.parametrize("button_id", ["b3", "nothing", "a%00b"])
async def test_other_accounts_buttons_are_none(client, buttons, button_id):
    keep(buttons, "b3", "bob")
    reply = await client.get(f"/v1/buttons/{button_id}")
    assert (reply.status_code, reply.json()["code"]) == (404, "button_not_found")


BODY = {"label": "shop", "title": "Sales", "destination": NUMBER, "day_cap": "5.00"}
ONCE = {"idempotency-key": "0123456789abcdef"}


async def test_a_button_is_made_once_for_one_idempotency_key(client, buttons):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    made = [await client.post("/v1/buttons", json=BODY, headers=ONCE) for _ in range(2)]
    assert [reply.status_code for reply in made] == [201, 201]
    assert made[0].json() == made[1].json()
    (button,) = buttons.kept.values()
    assert (button.account_id, button.rules) == ("alice", rules(day_cap_micros=5_000_000))
    assert made[0].json()["keys"][0]["key"] == button.key_of(KeyMode.LIVE)
    # The audit log will name the key.
    assert buttons.editors == [ByKey("k1")] * 2
    other = {"idempotency-key": "fedcba9876543210"}
    assert (await client.post("/v1/buttons", json=BODY, headers=other)).status_code == 201
    assert len(buttons.kept) == 2


async def test_what_a_program_leaves_out_is_as_the_form_begins_with(client, buttons):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    body = {name: BODY[name] for name in ("label", "title", "destination")}
    assert (await client.post("/v1/buttons", json=body, headers=ONCE)).status_code == 201
    (button,) = buttons.kept.values()
    assert button.rules == msgspec.structs.replace(NEW, title="Sales", destination=NUMBER)
    assert (button.rules.seconds_max, button.rules.amounts.visitor_hour) == (300, 3)
    # Who names one cap has that one alone, however high.
    other = {"idempotency-key": "fedcba9876543210"}
    named = body | {"day_cap": "80.00"}
    assert (await client.post("/v1/buttons", json=named, headers=other)).status_code == 201
    caps = {(b.rules.day_cap_micros, b.rules.month_cap_micros) for b in buttons.kept.values()}
    assert caps == {(5_000_000, 50_000_000), (80_000_000, None)}


async def test_a_repeat_uses_nothing_up_also_where_no_more_may_be_made(client, buttons, velocity):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    made = await client.post("/v1/buttons", json=BODY, headers=ONCE)
    velocity.refuses["account_buttons_hour"] = 60
    again = await client.post("/v1/buttons", json=BODY, headers=ONCE)
    assert (again.status_code, again.json()) == (201, made.json())
    assert velocity.used == [Use("account_buttons_hour", "alice")]
    other = {"idempotency-key": "fedcba9876543210"}
    assert (await client.post("/v1/buttons", json=BODY, headers=other)).status_code == 429
    # A button that was deleted since is not created again, and the repeat says so.
    await client.delete(f"/v1/buttons/{made.json()['id']}")
    buttons.outcome = ButtonChange.NOT_FOUND
    again = await client.post("/v1/buttons", json=BODY, headers=ONCE)
    assert (again.status_code, again.json()["code"]) == (404, "button_not_found")


async def test_an_account_of_an_unproven_address_makes_no_button(client, accounts, buttons):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    accounts.by_hash[key_hash(KEY)] = Account("alice", is_unproven=True)
    reply = await client.post("/v1/buttons", json=BODY, headers=ONCE)
    assert (reply.status_code, reply.json()["code"]) == (403, "address_unproven")
    assert buttons.kept == {}
    # What was made before can still be stopped.
    keep(buttons, "b1")
    assert (await client.post("/v1/buttons/b1/pause", json={})).status_code == 200
    assert (await client.delete("/v1/buttons/b1")).status_code == 204


async def test_an_account_makes_so_many_buttons_an_hour_also_where_it_deletes_them(
    client, buttons, velocity
):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    # What is wrong makes none, and counts as none.
    await client.post("/v1/buttons", json=BODY | {"title": ""}, headers=ONCE)
    assert velocity.used == []
    made = (await client.post("/v1/buttons", json=BODY, headers=ONCE)).json()
    assert velocity.used == [Use("account_buttons_hour", "alice")]
    velocity.refuses["account_buttons_hour"] = 60
    assert (await client.delete(f"/v1/buttons/{made['id']}")).status_code == 204
    other = {"idempotency-key": "fedcba9876543210"}
    reply = await client.post("/v1/buttons", json=BODY, headers=other)
    assert (reply.status_code, reply.json()["code"]) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "60"
    assert buttons.kept == {}


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (BODY, {}, 400, {"code": "bad_request", "field": "Idempotency-Key"}),
        (BODY, {"idempotency-key": "two words"}, 400, {"field": "Idempotency-Key"}),
        (BODY | {"number": "+1"}, ONCE, 400, {"code": "bad_request"}),
        (BODY | {"amounts": {"visitor_hourly": 1}}, ONCE, 400, {"field": "visitor_hourly"}),
        (BODY | {"hours": {"zon": "Europe/Berlin"}}, ONCE, 400, {"field": "zon"}),
        (BODY | {"hours": {"week": [[[0, 100, 200]]] * 7}}, ONCE, 400, {"field": "hours"}),
        (BODY | {"day_cap": "5,00"}, ONCE, 422, {"field": "day_cap", "reason": "cap_range"}),
        (BODY | {"day_cap": None}, ONCE, 422, {"field": "day_cap", "reason": "cap_needed"}),
        (BODY | {"title": ""}, ONCE, 422, {"field": "title", "reason": "title_needed"}),
        (BODY | {"origins": ["*"]}, ONCE, 422, {"field": "origins", "reason": "origin_wildcard"}),
        (BODY, ONCE, 422, {"code": "destination_unproven", "field": "destination"}),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(client, buttons, body, headers, status, told):
    reply = await client.post("/v1/buttons", json=body, headers=headers)
    assert reply.status_code == status, reply.text
    assert told.items() <= reply.json().items()
    assert buttons.kept == {}


async def test_a_button_is_changed_paused_turned_ended_and_deleted(client, buttons, eras):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    keep(buttons, "b1")
    one = "/v1/buttons/b1"
    changed = await client.put(one, json=BODY | {"label": "other", "month_cap": "50"})
    assert (changed.status_code, changed.json()["label"]) == (200, "other")
    assert changed.json()["month_cap"]["micros"] == 50_000_000
    assert (await client.post(f"{one}/pause")).json()["paused_at"]
    assert (await client.post(f"{one}/pause")).status_code == 200
    assert (await client.post(f"{one}/resume")).json()["paused_at"] is None
    turned = [
        (await client.post(f"{one}/turn", json={"overlap_days": 7}, headers=ONCE)).json()["keys"]
        for _ in range(2)
    ]
    assert turned[0] == turned[1]
    assert [key["mode"] for key in turned[0]] == ["live", "live", "test"]
    assert turned[0][0]["key"] != LIVE
    wrong = await client.post(f"{one}/turn", json={"overlap_days": 2}, headers=ONCE)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "overlap")
    assert eras.ended == []
    ended = await client.post(f"{one}/end-calls")
    assert (ended.status_code, eras.ended) == (202, ["b1"])
    assert [(await client.delete(one)).status_code for _ in range(2)] == [204, 204]
    assert (buttons.kept, eras.ended) == ({}, ["b1"] * 3)


ACTS = [
    ("PUT", "/v1/buttons/b3", BODY),
    ("POST", "/v1/buttons/b3/pause", None),
    ("POST", "/v1/buttons/b3/resume", None),
    ("POST", "/v1/buttons/b3/end-calls", None),
    ("POST", "/v1/buttons/b3/turn", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
async def test_another_accounts_button_is_none_to_change(client, buttons, eras, method, path, body):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    keep(buttons, "b3", "bob")
    reply = await client.request(method, path, json=body, headers=ONCE)
    assert (reply.status_code, reply.json()["code"]) == (404, "button_not_found")
    assert (await client.delete("/v1/buttons/b3")).status_code == 204
    assert list(buttons.kept) == ["b3"]
    assert eras.ended == []


async def test_a_key_without_the_scope_changes_nothing(client, buttons):
    keep(buttons, "b1")
    key = {"authorization": "Bearer ck_dials"}
    paths = [path.replace("b3", "b1") for _, path, _ in ACTS]
    methods = [method for method, _, _ in ACTS]
    for method, path in [
        *zip(methods, paths, strict=True),
        ("POST", "/v1/buttons"),
        ("DELETE", "/v1/buttons/b1"),
        ("GET", "/v1/destinations"),
        ("POST", "/v1/destinations/take-back"),
    ]:
        reply = await client.request(method, path, json={}, headers=key | ONCE)
        assert (reply.status_code, reply.json()["scope"]) == (403, "buttons"), path
    assert buttons.editors == []


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (ButtonChange.SESSION_OVER, 401, "unauthorized"),
        (ButtonChange.TOO_MANY, 409, "buttons_too_many"),
    ],
)
async def test_what_the_store_refuses_is_told(client, buttons, outcome, status, code):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    buttons.outcome = outcome
    reply = await client.post("/v1/buttons", json=BODY, headers=ONCE)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_no_more_keys_than_a_button_may_have(client, buttons):
    keep(buttons, "b1")
    buttons.outcome = ButtonChange.TOO_MANY
    reply = await client.post("/v1/buttons/b1/turn", json={}, headers=ONCE)
    assert (reply.status_code, reply.json()["code"]) == (409, "button_keys_too_many")


async def test_a_number_is_taken_back_and_says_which_buttons_stop(client, buttons, eras):
    buttons.proven.append(ProvenDestination(NUMBER, AT))
    keep(buttons, "b1")
    found = (await client.get("/v1/destinations")).json()
    assert found == {"destinations": [{"number": NUMBER, "proven_at": "2026-11-20T09:30:00Z"}]}
    reply = await client.post("/v1/destinations/take-back", json={"number": NUMBER})
    assert reply.json() == {"paused_buttons": [{"id": "b1", "label": "shop"}]}
    assert (buttons.proven, eras.ended) == ([], ["b1"])
    resumed = await client.post("/v1/buttons/b1/resume")
    assert (resumed.status_code, resumed.json()["code"]) == (422, "destination_unproven")
    for number in ("+14155552671", "a\0b"):
        reply = await client.post("/v1/destinations/take-back", json={"number": number})
        assert (reply.status_code, reply.json()["code"]) == (404, "destination_not_found")
