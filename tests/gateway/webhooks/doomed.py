"""A process that posts a webhook and stands still before it notes that: to be killed there.

`python -m tests.gateway.webhooks.doomed DATABASE_URL` prints a line when the receiver has it.
"""

import asyncio
import sys

from database.engine import create_engine
from gateway.webhooks.spool import SqlWebhookSpool
from tests.gateway.webhooks.world import World


class DoomedSpool(SqlWebhookSpool):
    """A spool that never notes what was sent."""

    async def note(self, claim, delivery, outcome):
        print("taken", flush=True)
        await asyncio.Event().wait()


async def main(database):
    """Send one round."""
    world = World(create_engine(database))
    await world.send(world.sender(DoomedSpool(world.engine)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
