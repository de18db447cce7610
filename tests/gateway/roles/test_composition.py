"""A process without media, put together from the same parts as `caller serve`."""

import asyncio
import contextlib
from dataclasses import replace

import httpx
import pytest

from billing.ports import Opening
from gateway.app import PeopleServices, Services
from gateway.buttons.ended_buttons import EndedButtons
from gateway.calls.index import CallIndex
from gateway.calls.no_calls import NoCalls
from gateway.carriers.twilio.carrier import CARRIER
from gateway.charging.recovery import bring_credits
from gateway.errors import SettingsError
from gateway.fleet.instances import found_in, new_nonce
from gateway.heartbeat.ticker import Ticker
from gateway.http.app import create_app
from gateway.http.bearer import key_hash, new_api_key
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.payments.build import card_payments, compose_payments
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles import http, periodic_tasks, public_origin, storage
from gateway.roles.access import compose_access
from gateway.roles.carrier import compose_carrier_side
from gateway.roles.fleet import compose_fleet
from gateway.roles.fraud import compose_fraud
from gateway.roles.health import health_routes
from gateway.roles.membership import new_membership
from gateway.roles.post import open_post
from gateway.roles.prices import load_deck, load_prices
from gateway.roles.public_origin import OriginAnswer
from gateway.roles.stopping import Stops
from gateway.scopes import PAGE, Scope
from gateway.secret import Secret
from gateway.settings_variables import from_mapping
from gateway.stores.leases import RedisNodeLeases
from tests import mmdb
from tests.valkey import valkey_server, valkey_url

__all__ = ["valkey_server", "valkey_url"]

ECHO = "+15005551000"


class Office:
    """Everything of a gateway but its media."""

    def __init__(self, settings, stores, post, prices, stops):
        self.stores, self.post, self.prices = stores, post, prices
        self.settings = settings
        self.access = compose_access(settings, stores)
        self.membership = new_membership(settings, stores.redis, settings.node)
        self.carrier_side = compose_carrier_side(
            settings,
            stores,
            CARRIER,
            CARRIER.client(settings),
            self.membership,
            owns=lambda _call_id, _carrier_call_id: False,
            notify=post.notify,
        )
        stops.add("carrier", self.carrier_side.carrier.close)
        shared = PeopleServices(
            settings=settings, stores=stores, notify=post.notify, taking_back=TAKING_BACK
        )
        self.payments = shared.one(card_payments)
        stops.add("payment service", self.payments.service.close)
        self.alarms = periodic_tasks.new_alarms(settings, stores)
        fraud = compose_fraud(settings, stores)
        self.tasks = [
            *periodic_tasks.of_port(None),
            *periodic_tasks.of_quotes(prices, fraud),
            *periodic_tasks.of_books(stores, self.carrier_side.settler.drain, self.alarms),
            *periodic_tasks.of_mails(settings, self.alarms),
            *periodic_tasks.of_payments(self.payments),
        ]
        fleet = compose_fleet(settings, stores, self.membership, takes=lambda _node: True)
        services = http.compose_services(
            shared,
            self.access,
            prices,
            fraud,
            index=CallIndex("", NoCalls(), stores.records, stores.gate),
            choose_node=lambda: "n1",
            on_balance=self.payments.auto.consider,
            announcer=self.carrier_side.carrier,
            refused_signatures=RefusedSignatures(Ticker(lambda: 0)),
            fleet=fleet.control,
            instance=self.membership.instance,
            ticker=Ticker(lambda: 0),
            answer_fields={},
        )
        routes = [
            *http.api_routes(services),
            *health_routes(
                stores,
                self.alarms,
                load=NoCalls(),
                ticker=Ticker(lambda: 0),
                routing=self.access.admin_routes,
                instance=self.membership.instance,
                has_node=lambda: True,
            ),
        ]
        self.app = create_app(routes)


@pytest.fixture
async def office(tmp_path, valkey_url):
    settings = from_mapping(
        {
            "CALLER_NODE": "office",
            "CALLER_DATA_DIR": str(tmp_path),
            "CALLER_REDIS_URL": valkey_url,
            "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "CALLER_TWILIO_AUTH_TOKEN": "secret",
            "CALLER_CALLER_ID": "+15005550006",
            "CALLER_CARRIER_URL": "http://127.0.0.1:9",
            "CALLER_STRIPE_API_KEY": "sk_test_office",
            "CALLER_STRIPE_WEBHOOK_SECRETS": "whsec_office",
            "CALLER_STRIPE_URL": "http://127.0.0.1:9",
            "CALLER_SMTP_URL": "smtp://127.0.0.1:9",
            "CALLER_MAIL_FROM": "caller@calls.example.com",
        }
    )
    stops = Stops()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(stops.run)
        stores = await storage.open_stores(settings)
        stops.add("stores", stores.close)
        prices = await load_prices(settings, stores.engine, load_deck(settings))
        yield Office(settings, stores, open_post(settings, stores), prices, stops)


@pytest.fixture
async def client(office):
    stores, key = office.stores, new_api_key()
    await stores.accounts.create_account("alice", "USD")
    await stores.accounts.add_api_key("alice", key_hash(key), "", scopes=PAGE)
    await stores.ledger.add_credit("alice", 10**7, reference="grant", kind="grant")
    await bring_credits(stores.gate, stores.ledger, "alice")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(office.app),
        base_url="http://office",
        headers={"authorization": f"Bearer {key}"},
    ) as client:
        yield client


async def test_it_admits_calls_that_a_node_will_hold(office, client):
    body = {"destination": ECHO}
    quote = (await client.post("/v1/quotes", json=body)).json()
    assert quote["balance"]["micros"] == 10**7
    reply = await client.post("/v1/call-tokens", json=body)
    assert reply.status_code == 201
    order, _ = await office.access.tokens.redeem(reply.json()["token"])
    assert (order.account_id, order.destination) == ("alice", ECHO)


async def test_it_says_where_a_call_is_that_it_cannot_end(office, client):
    await office.stores.gate.open(Opening("c1", "alice", "n1", 1, 10, 9, b"{}"))
    reply = await client.delete("/v1/calls/c1")
    assert (reply.status_code, reply.json()["code"]) == (503, "node_silent")
    reply = await client.delete("/v1/calls/c2")
    assert (reply.status_code, reply.json()["code"]) == (404, "call_not_found")


async def test_it_is_ready_and_shows_what_is_in_the_books(office, client):
    ready = await client.get("/readyz?verbose")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "details": "scope_missing"})
    operator = new_api_key()
    await office.stores.accounts.add_api_key("alice", key_hash(operator), "", scopes={Scope.ADMIN})
    headers = {"authorization": f"Bearer {operator}"}
    ready = await client.get("/readyz?verbose", headers=headers)
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    nonce = new_nonce()
    healthy = (await client.get("/healthz", params={"nonce": nonce})).json()
    assert found_in(["n9", office.membership.instance], nonce, healthy["proof"]) == (
        office.membership.instance
    )
    assert (await client.get("/v1/ledger")).json()["lines"][0]["reference"] == "credit:grant"
    assert (await client.get("/v1/top-ups")).json()["enabled"]
    assert (await client.get("/v1/live-calls")).json() == {"calls": []}


async def test_its_periodic_work_has_nothing_of_a_node(office):
    names = {task._name for task in office.tasks}
    assert {"look for payments", "look for new rates", "watch on the outbox"} <= names
    assert not names & {"lease", "sweep for lost calls", "reminder of calls"}
    sweeps = periodic_tasks.new_sweeper(office.membership, office.carrier_side, lambda _: False)
    ended = EndedButtons(None, None)
    of_node = periodic_tasks.of_node(
        office.membership, office.carrier_side, Metering(), sweeps, ended
    )
    assert {"lease", "reminder of calls", "calls of ended buttons"} <= {d._name for d in of_node}


async def test_what_is_not_there_has_no_periodic_work():
    assert periodic_tasks.of_payments(None) == ()
    (renewal,) = periodic_tasks.of_port(Tls())
    assert renewal._name == "look for a new certificate"


async def test_mails_are_watched_where_there_is_a_mail_server(office):
    (watch,) = periodic_tasks.of_mails(office.settings, office.alarms)
    assert watch._name == "watch on the mails"
    without = replace(office.settings, smtp_url=Secret(""))
    assert periodic_tasks.of_mails(without, office.alarms) == ()


async def test_countries_of_addresses_are_looked_for_where_there_is_a_file(office, tmp_path):
    file = mmdb.write(tmp_path / "countries.mmdb", {"203.0.113.0/24": "DE"})
    for path, names in (("", []), (str(file), ["look for new countries of addresses"])):
        settings = replace(office.settings, address_countries=path)
        services = PeopleServices(settings=settings, stores=office.stores, taking_back=TAKING_BACK)
        assert [task._name for task in periodic_tasks.of_people(services)] == names


async def test_a_gate_that_calls_wait_for_is_compared_at_once(office):
    metering, drain = Metering(), office.carrier_side.settler.drain
    compared, *_ = periodic_tasks.of_books(office.stores, drain, office.alarms, metering=metering)
    assert compared._name == "comparison of credit store and books"
    assert metering.on_emptied == compared.run_now


class Tls:
    """A certificate that can be looked for again."""

    def refresh(self):
        pass


async def test_whoever_gave_or_froze_credit_brings_it_to_the_gate(office, client):
    told = []

    async def on_credit(account_id):
        told.append(account_id)

    stores = office.stores
    for listener in (None, on_credit):
        told_of = {} if listener is None else {"on_credit": listener}
        composed = compose_payments(
            Services(settings=office.settings, stores=stores, notify=office.post.notify, **told_of)
        )
        reference = f"more:{listener is None}"
        await stores.ledger.add_credit("alice", 5, reference=reference, kind="grant")
        await composed.payments._on_credit("alice")
        await composed.payments._on_freeze("alice", True)
        await composed.service.close()
    assert await stores.gate.balance("alice") == 10**7 + 10
    assert told == ["alice", "alice"]
    refused = await client.post("/v1/call-tokens", json={"destination": ECHO})
    assert refused.json()["code"] == "account_frozen"


async def test_a_node_is_entered_by_one_process(office):
    other = replace(office.membership, leases=RedisNodeLeases(office.stores.redis, instance="b"))
    await office.membership.enter()

    async def lives():
        while True:
            await office.membership.watch.renew()
            await asyncio.sleep(0.05)

    living = asyncio.create_task(lives())
    with pytest.raises(SettingsError, match="another process serves as node office"):
        await other.enter()
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    await office.membership.leave()
    await other.enter()


@pytest.mark.parametrize(
    ("instance", "fault"), [("", "nothing listens"), ("self", ""), ("known", ""), ("alien", "gate")]
)
async def test_a_public_origin_of_another_gateway_is_found_out(
    office, monkeypatch, instance, fault
):
    membership = office.membership
    known = RedisNodeLeases(office.stores.redis, instance="known")
    await known.claim("n2", 60, lambda: None)
    instance = membership.instance if instance == "self" else instance
    said = OriginAnswer(instance=instance, fault="" if instance else "nothing listens")

    async def ask(_origin, *, known):
        # Those of this deployment are asked about.
        assert {membership.instance, "known"} <= set(known)
        return said

    monkeypatch.setattr(public_origin, "ask", ask)
    assert fault in (await membership.look_at_origin())
    assert bool(fault) == bool(await membership.look_at_origin())


class Metering:
    """What the periodic work of a node asks of its metering."""

    on_emptied = None

    async def remind(self):
        pass
