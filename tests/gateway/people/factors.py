"""What an app shows, for tests of second factors."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from accounts.totp import DIGITS, STEP_S
from tests.gateway.people.memory import a_visitor


def code_at(world, secret, *, steps=0):
    """Return what an app shows now, or some steps later."""
    at_s = int(world.now.timestamp()) + steps * STEP_S
    return TOTP(secret, DIGITS, SHA1(), STEP_S).generate(at_s).decode()


async def enrolled(world):
    """Add somebody with an app; return who is signed in, its secret and the recovery codes."""
    world.add()
    who = await world.enter()
    begun = await world.enrolment.begin(who)
    secret = (await world.enrolment.to_add(who, begun.ceremony_secret)).secret
    code = code_at(world, secret)
    changed = await world.enrolment.add(who, begun.ceremony_secret, code, a_visitor())
    who = await world.browsers.who(changed.session_secret)
    codes = await world.enrolment.codes_to_keep(who, changed.ceremony_secret)
    # The step of that code is used up.
    world.later(seconds=STEP_S)
    return who, secret, codes
