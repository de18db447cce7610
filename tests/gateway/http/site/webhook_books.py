"""Endpoints of webhooks in memory."""

from dataclasses import replace
from datetime import timedelta

from gateway.webhooks.ports import (
    ENDPOINTS_MAX,
    OLD_SECRET_LIVES,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointForm,
    NotDone,
)


class MemoryEndpoints:
    """`webhooks.ports.Endpoints` of accounts whose sessions stand."""

    def __init__(self, clock):
        self.clock = clock
        self.kept = {}
        self.sent = []

    async def of_account(self, account_id):
        return [each for each in self.kept.values() if each.account_id == account_id]

    async def find(self, account_id, endpoint_id):
        found = self.kept.get(endpoint_id)
        return found if found is not None and found.account_id == account_id else None

    async def add(self, account_id, editor, endpoint_id, form, seed, *, since=None):
        assert since is not None
        if endpoint_id not in self.kept:
            if len(await self.of_account(account_id)) >= ENDPOINTS_MAX:
                return NotDone.TOO_MANY
            self.kept[endpoint_id] = Endpoint(
                endpoint_id,
                account_id,
                form.url,
                form.label,
                (),
                self.clock(),
                None,
                "",
                None,
                None,
                (seed,),
            )
        return self.kept[endpoint_id]

    async def change(self, account_id, editor, endpoint_id, form, *, since=None):
        found = await self.find(account_id, endpoint_id)
        if found is None:
            return NotDone.NOT_FOUND
        assert form == EndpointForm(is_disabled=False)
        self.since = since
        self.kept[endpoint_id] = replace(found, disabled_at=None, disabled_why="")
        return self.kept[endpoint_id]

    async def turn(self, account_id, editor, endpoint_id, seed):
        found = await self.find(account_id, endpoint_id)
        if found is None:
            return NotDone.NOT_FOUND
        until = self.clock() + OLD_SECRET_LIVES
        turned = replace(found, seeds=(seed, *found.seeds[:1]), old_until=until)
        self.kept[endpoint_id] = turned
        return turned

    async def remove(self, account_id, editor, endpoint_id):
        if await self.find(account_id, endpoint_id) is None:
            return NotDone.NOT_FOUND
        del self.kept[endpoint_id]
        return None

    async def test(self, account_id, endpoint_id):
        if await self.find(account_id, endpoint_id) is None:
            return NotDone.NOT_FOUND
        at = self.clock() + timedelta(seconds=len(self.sent))
        self.sent.insert(
            0,
            Delivery(
                f"dlv_{len(self.sent)}",
                endpoint_id,
                account_id,
                "evt_1",
                "webhook.test",
                at,
                "",
                {},
                DeliveryState.QUEUED,
                0,
                0,
                at,
                at,
                None,
                "",
            ),
        )
        return self.sent[0]

    async def deliveries(self, account_id, endpoint_id, *, limit, before):
        mine = [each for each in self.sent if each.endpoint_id == endpoint_id]
        return [(each, ()) for each in mine[:limit]]
