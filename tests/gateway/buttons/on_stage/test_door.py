"""Who names a publishable key that stands is let in, and asks the book as seldom as can be."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.embed.keys import KeyMode, publishable_key
from gateway.http.access import Access
from gateway.http.operation import operation
from gateway.http.problems import Json
from tests.gateway.buttons.shop import BUTTON, KEY, NOW, OWN, Shop

SECOND_NS = 1_000_000_000
OTHER = publishable_key(KeyMode.LIVE, b"2" * 32)


class Desk(Shop):
    """A door with one route of each kind behind it."""

    def __init__(self, client_of):
        super().__init__()
        self.seen = []
        self.client = client_of(
            [
                *self.door.serve(self),
                self.door.page("/p/{key}", self.answer),
            ]
        )

    @operation("GET /v1/e/{key}", Access.VISITOR)
    async def look(self, request, visit):
        return await self.answer(request, visit)

    @operation("POST /v1/e/{key}/asks", Access.VISITOR)
    async def act(self, request, visit):
        return await self.answer(request, visit)

    async def answer(self, request, visit):
        self.seen.append((visit, await request.body()))
        return Json({"ok": True})

    async def ask(self, key=KEY, path="/v1/e/{}", **headers):
        method = "POST" if path.endswith("asks") else "GET"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = await self.client.request(method, path.format(key), headers=headers)
        return reply.status_code, reply.json().get("code", "")


@pytest.fixture
def desk(client_of):
    return Desk(client_of)


async def test_a_visit_has_the_button_and_who_pays(desk):
    assert await desk.ask() == (200, "")
    ((visit, _),) = desk.seen
    assert (visit.button, visit.account.id, visit.key_epoch) == (BUTTON, "alice", "e1")
    assert (visit.buyer.account, visit.buyer.address) == (visit.account, visit.address)


async def test_every_route_counts_first_and_a_flood_asks_nothing(desk):
    desk.velocity.refuses = {"address_embeds_minute": 7}
    for path in ("/v1/e/{}", "/v1/e/{}/asks", "/p/{}"):
        assert await desk.ask(path=path) == (429, "rate_limited")
    assert (desk.buttons.asked, desk.seen) == (0, [])


async def test_wrong_keys_are_counted_and_only_so_many_looked_up(desk):
    for key in (OTHER, "pk_live_short", "ck_x"):
        assert await desk.ask(key) == (404, "button_not_found")
        assert (await desk.ask(key, "/p/{}"))[0] == 404
    # Malformed ones cost no query.
    assert desk.buttons.asked == 2
    assert desk.velocity.used.count(desk.velocity.used[-1]) == 6
    desk.velocity.refuses = {"address_wrong_buttons_minute": 9}
    assert await desk.ask(OTHER) == (429, "rate_limited")
    assert desk.buttons.asked == 2


async def test_what_was_read_counts_within_its_epoch_and_for_a_while(desk):
    for _ in range(3):
        await desk.ask()
    assert desk.buttons.asked == 1
    desk.epochs.epoch = "e2"
    await desk.ask()
    assert desk.buttons.asked == 2
    desk.now_ns += 10 * SECOND_NS
    await desk.ask()
    assert desk.buttons.asked == 3
    del desk.buttons.by[KEY]
    desk.epochs.epoch = "e3"
    assert await desk.ask() == (404, "button_not_found")


async def test_while_the_book_is_away_a_known_key_goes_on(desk):
    await desk.ask()
    desk.buttons.is_away = True
    desk.now_ns += 60 * SECOND_NS
    assert await desk.ask() == (200, "")
    assert await desk.ask(OTHER) == (503, "store_unavailable")
    desk.now_ns += 600 * SECOND_NS
    assert await desk.ask() == (503, "store_unavailable")


async def test_a_key_ends_when_its_overlap_does_and_with_its_api_key(desk):
    desk.buttons.by[KEY] = replace(BUTTON, ends_at=NOW + timedelta(hours=1))
    assert await desk.ask() == (200, "")
    desk.now += timedelta(hours=1)
    assert await desk.ask() == (404, "button_not_found")
    desk.buttons.by[OTHER] = BUTTON
    desk.accounts.by_hash.clear()
    assert await desk.ask(OTHER) == (404, "button_not_found")


async def test_what_changes_something_is_asked_by_a_page_of_ours(desk):
    asks = "/v1/e/{}/asks"
    assert await desk.ask(path=asks) == (200, "")
    assert await desk.ask(path=asks, origin=OWN, sec_fetch_site="same-origin") == (200, "")
    for headers in (
        {"origin": "https://shop.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "none"},
    ):
        assert await desk.ask(path=asks, **headers) == (403, "bad_origin")
    assert len(desk.seen) == 2


async def test_a_body_is_read_once_and_bounded(desk):
    reply = await desk.client.post(f"/v1/e/{KEY}/asks", content=b"x" * 4_097)
    assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")
    assert (await desk.client.post(f"/v1/e/{KEY}/asks", content=b"{}")).status_code == 200
    assert desk.seen[-1][1] == b"{}"
