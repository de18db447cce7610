"""What a person must not choose, the own address and the service's name among it."""

from gateway.people.password_policy import PasswordPolicy
from tests.gateway.people.memory import PlainHasher


async def test_it_says_what_is_wrong():
    policy = PasswordPolicy(PlainHasher(), "Caller")
    assert await policy.fault("correct-zebra-tram-92", "ada@example.com") == ""
    assert await policy.fault("short", "ada@example.com") == "password_short"
    assert await policy.fault("CallerCaller", "ada@example.com") == "password_guessable"
    assert await policy.fault("ada@example.com", "ada@example.com") == "password_guessable"
