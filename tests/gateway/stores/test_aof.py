"""Append-only files are written anew, at most once in a while; played by a server that answers."""

import pytest
from redis.exceptions import ConnectionError as AwayError
from redis.exceptions import NoPermissionError, ResponseError

from database.errors import StoreUnavailableError
from gateway.stores.aof import RedisAof


class Server:
    """What a client sees of a server."""

    def __init__(self, *, has_files=True, answer=b"started"):
        self.has_files, self.answer = has_files, answer
        self.keys, self.commands = {}, []

    async def set(self, name, value, *, nx, ex):
        if name in self.keys:
            return None
        self.keys[name] = ex
        return True

    async def delete(self, name):
        self.keys.pop(name, None)

    async def execute_command(self, *command):
        self.commands.append(command)
        if command[0] == "INFO":
            return {"aof_enabled": int(self.has_files)}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def rewritten(self):
        return self.commands.count(("BGREWRITEAOF",))


async def test_files_are_written_anew_once_in_a_while():
    server = Server()
    assert await RedisAof(server).rewrite()
    assert not await RedisAof(server).rewrite()
    assert server.rewritten == 1
    server.keys.clear()
    assert await RedisAof(server).rewrite()
    assert server.rewritten == 2


async def test_without_files_there_is_nothing_to_do():
    server = Server(has_files=False)
    assert await RedisAof(server).rewrite()
    assert server.rewritten == 0


async def test_one_that_is_under_way_may_have_passed_by_and_is_not_counted():
    server = Server(answer=ResponseError("Background append only file rewriting already started"))
    assert not await RedisAof(server).rewrite()
    server.answer = b"started"
    assert await RedisAof(server).rewrite()


async def test_a_service_that_is_not_ours_to_command_holds_up_nothing():
    assert await RedisAof(Server(answer=NoPermissionError("no"))).rewrite()


async def test_a_server_that_is_away_is_told():
    with pytest.raises(StoreUnavailableError):
        await RedisAof(Server(answer=AwayError("away"))).rewrite()


async def test_a_real_server_takes_the_command(valkey_url):
    from redis.asyncio import Redis

    async with Redis.from_url(valkey_url) as client:
        await client.delete("caller:aof-rewritten")
        assert await RedisAof(client).rewrite() in {True, False}
