"""What an operator does with webhooks, on a real database; tests of the API do the rest."""

import pytest
import sqlalchemy as sa

from accounts.stores import tables as people
from gateway.errors import RequestRefusedError
from gateway.operators import Order
from gateway.webhooks.acts import WebhookActs
from gateway.webhooks.ports import EndReason
from gateway.webhooks.signature import SecretMaker, read_secret
from gateway.webhooks.views import WebhookBody, WebhookChangeBody, delivery_view, webhook_view
from tests.gateway.webhooks.world import world

__all__ = ["world"]

ORDER = Order("kim", "asked by phone")
BODY = WebhookBody(url="https://hooks.example.com/")


@pytest.fixture
def acts(world):
    return WebhookActs(world.endpoints, world.maker, ())


async def lines_of(world, account_id):
    events = people.account_events
    query = sa.select(events.c.act, events.c.actor, events.c.operator, events.c.reason)
    async with world.engine.connect() as connection:
        found = await connection.execute(
            query.where(events.c.account_id == account_id).order_by(events.c.id)
        )
        return [tuple(row) for row in found]


async def add(acts, once="o1"):
    return await acts.add("alice", ORDER, BODY, once=once, is_proven=True)


async def test_what_an_operator_does_is_written_down_with_its_webhook(world, acts):
    added = await add(acts)
    one = ("alice", ORDER, added.id)
    turned = await acts.turn(*one, once="t1")
    assert len({read_secret(added.secret), read_secret(turned.secret)}) == 2
    await acts.test("alice", added.id, ORDER)
    await acts.change(*one, WebhookChangeBody(label="shop"))
    page = await acts.deliveries("alice", added.id, limit=1, before=None)
    await acts.replay("alice", added.id, page.deliveries[0].id, ORDER)
    disabled = await acts.change(*one, WebhookChangeBody(disabled=True))
    assert disabled.disabled_why == EndReason.BY_OPERATOR
    await acts.remove(*one)
    why = ("operator", "kim", f"{added.id}: asked by phone")
    assert await lines_of(world, "alice") == [
        (act, *why)
        for act in (
            "webhook_added",
            "webhook_turned",
            "webhook_tested",
            "webhook_changed",
            "webhook_replayed",
            "webhook_changed",
            "webhook_removed",
        )
    ]


async def test_a_repeat_does_and_writes_nothing_more(world, acts):
    assert await add(acts) == await add(acts)
    one = (await acts.all_of("alice")).webhooks[0]
    turned = [await acts.turn("alice", ORDER, one.id, once="t1") for _ in range(2)]
    assert turned[0] == turned[1]
    tested = [await acts.test("alice", one.id, ORDER) for _ in range(2)]
    # To test again is to ask for another delivery.
    assert tested[0].id != tested[1].id
    assert (await acts.replay_failed("alice", one.id, world.clock(), ORDER)).replayed == 0
    acts_done = [act for act, *_ in await lines_of(world, "alice")]
    assert acts_done == ["webhook_added", "webhook_turned", *["webhook_tested"] * 2]


async def test_what_was_removed_does_not_come_back_by_a_repeat(world, acts):
    added = await add(acts)
    again = {"once": "o1", "is_proven": True, "was_added": True}
    assert await acts.add("alice", ORDER, BODY, **again) == added
    await acts.remove("alice", ORDER, added.id)
    with pytest.raises(RequestRefusedError) as refused:
        await acts.add("alice", ORDER, BODY, **again)
    assert refused.value.code == "webhook_not_found"
    assert (await acts.all_of("alice")).webhooks == []


async def test_an_owner_s_tests_are_not_written_down(world, acts):
    added = await add(acts)
    tested = await acts.test("alice", added.id)
    await acts.replay("alice", added.id, tested.id)
    assert [act for act, *_ in await lines_of(world, "alice")] == ["webhook_added"]


@pytest.mark.parametrize(
    ("code", "act"),
    [
        ("webhook_not_found", lambda acts, one: acts.show("bob", one)),
        ("webhook_not_found", lambda acts, _: acts.show_secret("alice", "wh\0")),
        ("webhook_not_found", lambda acts, one: acts.remove("bob", ORDER, one)),
        ("webhook_not_found", lambda acts, one: acts.test("bob", one, ORDER)),
        ("webhook_not_found", lambda acts, one: acts.replay("alice", one, "d\0", ORDER)),
        ("unauthorized", lambda acts, one: acts.turn("nobody", ORDER, one, once="x")),
        (
            "address_unproven",
            lambda acts, _: acts.add("alice", ORDER, BODY, once="n", is_proven=False),
        ),
        (
            "webhook_refused",
            lambda acts, one: acts.change(
                "alice", ORDER, one, WebhookChangeBody(url="https://10.0.0.1/")
            ),
        ),
        (
            "bad_request",
            lambda acts, one: acts.change("alice", ORDER, one, WebhookChangeBody(label="a\nb")),
        ),
        (
            "bad_request",
            lambda acts, one: acts.change("alice", ORDER, one, WebhookChangeBody(types=("x",))),
        ),
        (
            "webhooks_off",
            lambda acts, _: WebhookActs(acts.endpoints, SecretMaker(()), ()).add(
                "alice", ORDER, BODY, once="n", is_proven=True
            ),
        ),
    ],
)
async def test_what_is_refused_changes_nothing(world, acts, code, act):
    added = await add(acts)
    with pytest.raises(RequestRefusedError) as refused:
        await act(acts, added.id)
    assert refused.value.code == code
    assert len(await lines_of(world, "alice")) == 1
    assert await acts.show_secret("alice", added.id) == added


async def test_views_have_no_secret_of_their_own(world):
    endpoint = await world.add("alice", BODY.url)
    assert "secret" not in webhook_view(endpoint).__struct_fields__
    await world.tell("alice")
    ((delivery, _),) = await world.endpoints.deliveries("alice", endpoint.id, limit=9, before=None)
    view = delivery_view(delivery)
    assert (view.attempts, view.next_try_at) == ([], delivery.next_try_at)
