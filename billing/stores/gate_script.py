"""The spend gate's Lua scripts, and how a server is asked to run one.

A server is sent a script's hash, and the script itself only if it does not know it. The caller
limits the wait and names the failure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, ResponseError

Argument = str | bytes | int


class Script:
    """A Lua script and the hash by which the server knows it."""

    def __init__(self, name: str, *, has_prelude: bool = True) -> None:
        """Read a script from its file; the prelude names the keys of a partition."""
        folder = resources.files("billing.stores")
        parts = ["prelude", name] if has_prelude else [name]
        files = [folder.joinpath(f"{part}.lua") for part in parts]
        self.source = "\n".join(file.read_text(encoding="utf-8") for file in files).encode()
        # EVALSHA knows a script by the SHA-1 of its text, so two releases can use one server.
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()


async def evaluate(
    redis: Redis | RedisCluster,
    script: Script,
    keys: Sequence[bytes],
    arguments: Sequence[Argument],
) -> Any:
    """Return what the script answers. Raises RedisError, RedisClusterException, OSError."""
    # execute_command, because not every client of redis-py offers evalsha().
    execute = redis.execute_command
    try:
        # A server that was restarted has forgotten its scripts; EVAL loads them again.
        return await execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return await execute("EVAL", script.source, len(keys), *keys, *arguments)


async def evaluate_all(
    redis: Redis | RedisCluster,
    script: Script,
    requests: Sequence[tuple[Sequence[bytes], Sequence[Argument]]],
) -> Sequence[Any]:
    """Run the script on the keys and arguments of each request: one round trip.

    Returns each one's answer, or its error in its place. Raises as `evaluate` does.
    """
    pipeline: Any = redis.pipeline(transaction=False)
    for keys, arguments in requests:
        pipeline.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    for i, answer in enumerate(answers):
        if isinstance(answer, NoScriptError):  # one master has not seen it
            try:
                answers[i] = await evaluate(redis, script, *requests[i])
            except ResponseError as error:
                answers[i] = error
    return answers
