"""Implements the spend gate in Valkey or Redis: one Lua script per decision, on one partition.

All rules about balances and holds are in the scripts; this module runs them, encodes their
arguments and decodes their answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import astuple
from importlib import resources
from itertools import chain
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from billing.cdr import in_brief
from billing.errors import MoneyError, NotDrainedError
from billing.money import LIMIT
from billing.ports import (
    PARTITIONS,
    CloseOutcome,
    CloseResult,
    Closing,
    CreditResult,
    EndingPage,
    GateEnding,
    GateRows,
    OpenCall,
    Opening,
    OpenOutcome,
    OpenResult,
    OutboxEntry,
    PartitionState,
    Tick,
    TickOutcome,
    partition_of,
)
from billing.stores import redis_outbox
from billing.stores.redis_client import connect, disconnect, preflight
from billing.stores.tick_batch import (
    CALLS_PER_SCRIPT_MAX,
    CAPS_PER_CALL_MAX,
    TickBatch,
    TickReply,
)
from database import refusals
from database.errors import StoreUnavailableError

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


__all__ = ["RedisSpendGate", "connect", "disconnect", "preflight"]

TIMEOUT_S = 1.0
"""A tick that takes longer than a tick's period is as good as lost."""

REBUILD_TIMEOUT_S = 30.0
"""A rebuild carries a whole partition, and nothing waits for it but the start of a node."""

MEMORIES_PER_SCRIPT_MAX = 200
"""Bound of one script that notes what is known of calls: some 150 kB."""

TOMBSTONE_S = 24 * 3_600
"""How long a closed call is remembered: past any retry of its carrier's callbacks."""

TOMBSTONES_TRIMMED_MAX = 64
"""Expired tombstones removed by one close: it adds one, so that the set shrinks to its day."""

TICK_ENTRIES_MAX = 1_000
"""Entries of an outbox beyond which ticks add none; openings and closings always do."""

CAP_UNUSED_S = 40 * 24 * 3_600
"""How long a spend cap that no call opens or closes under is kept: longer than its period."""

CAPS_TRIMMED_MAX = 64
"""Spend caps of past periods removed by one opening: it adds three at most."""

_KEY_NAMES = (
    "bal",
    "call",
    "own",
    "done",
    "cseq",
    "froz",
    "led",
    "meta",
    "age",
    "caps",
    "used",
    "ends",
    "began",
    "out",
)

# Ticks join calls by ':' and ' ' in the outbox.
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

_ENCODER = msgspec.json.Encoder()

_Answer = TypeVar("_Answer")


class RedisSpendGate:
    """`billing.ports.SpendGate` on Valkey or Redis 7 and later, alone or as a cluster.

    Every method raises StoreUnavailableError when the server does not answer in time, refuses to
    write, or has lost its data and waits for `rebuild`.
    """

    def __init__(
        self,
        redis: Redis | RedisCluster,
        partitions: int = PARTITIONS,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Use a client that answers in bytes, such as `redis_client.connect` returns."""
        self._redis = redis
        self.partitions = partitions
        self._timeout_s = timeout_s
        # Encoded once, because they are sent with every request.
        self._keys = [
            [f"{{cr:{p}}}:{name}".encode() for name in _KEY_NAMES] for p in range(partitions)
        ]
        self._open = Script("open")
        self._tick = Script("tick")
        self._close = Script("close")
        self._credit = Script("credit")
        self._freeze = Script("freeze")
        self._read = Script("read")
        self._name = Script("name")
        self._resend_ending = Script("resend_ending")
        self._resend_open = Script("resend_open")
        self._endings = Script("endings")
        self._open_calls = Script("open_calls")
        self._snapshot = Script("snapshot")
        self._inspect = Script("inspect")
        self._withdraw = Script("withdraw")
        self._put_back = Script("put_back")
        self._remember = Script("remember")
        self._restate = Script("restate")
        self._rebuild = Script("rebuild")
        self._forget = Script("forget", has_prelude=False)

    def partition(self, account_id: str) -> int:
        """Return the partition that holds this account."""
        return partition_of(account_id, self.partitions)

    async def open(self, opening: Opening) -> OpenOutcome:
        """Place a call's first hold."""
        assert _CALL_ID.fullmatch(opening.call_id), "call ids are made of A-Z a-z 0-9 _ -"
        assert len(opening.caps) <= CAPS_PER_CALL_MAX
        names = [cap.name for cap in opening.caps]
        owner = (
            opening.account_id,
            opening.node,
            "",
            opening.per_minute_micros,
            names,
            opening.key_id,
        )
        result, held, balance, wanted = await self._run(
            self._open,
            self.partition(opening.account_id),
            opening.call_id,
            opening.account_id,
            _ENCODER.encode(owner),
            opening.first_micros,
            opening.want_micros,
            opening.concurrent_calls_max,
            opening.detail,
            _ENCODER.encode([(cap.name, cap.limit_micros) for cap in opening.caps]),
            CAP_UNUSED_S,
            CAPS_TRIMMED_MAX,
            int(opening.is_running),
            opening.sharers,
            opening.key_id,
            opening.key_calls_max,
        )
        return OpenOutcome(OpenResult(result.decode()), held, balance, wanted)

    async def tick(self, partition: int, ticks: Sequence[Tick]) -> TickOutcome:
        """Raise the holds of one partition's live calls."""
        outcome = (await self.tick_all({partition: ticks}))[partition]
        if isinstance(outcome, StoreUnavailableError):
            raise outcome
        return outcome

    async def tick_all(
        self, claims: Mapping[int, Sequence[Tick]]
    ) -> Mapping[int, TickOutcome | StoreUnavailableError]:
        """Raise the holds of several partitions' live calls, all in one round trip."""
        batches = [
            TickBatch(partition, ticks[start : start + CALLS_PER_SCRIPT_MAX])
            for partition, ticks in claims.items()
            for start in range(0, len(ticks), CALLS_PER_SCRIPT_MAX)
        ]
        requests = [
            (
                self._keys[batch.partition],
                (batch.encoded, TICK_ENTRIES_MAX, batch.answers),
            )
            for batch in batches
        ]
        try:
            answers = await self._bounded(evaluate_all(self._redis, self._tick, requests))
        except StoreUnavailableError as error:
            return dict.fromkeys(claims, error)
        replies = {partition: TickReply() for partition in claims}
        failures: dict[int, StoreUnavailableError] = {}
        for batch, answer in zip(batches, answers, strict=True):
            if isinstance(answer, Exception):
                # Other batches of the partition may have been granted: absolute totals, so
                # repeating them is safe.
                failures[batch.partition] = _unavailable(answer)
            else:
                replies[batch.partition].add(batch, answer)
        outcomes = {partition: reply.outcome() for partition, reply in replies.items()}
        return outcomes | failures

    async def close(self, closing: Closing) -> CloseOutcome:
        """Post a call's final price and void the rest of its hold."""
        result, charged, written_off, balance, *before = await self._run(
            self._close,
            self.partition(closing.account_id),
            closing.call_id,
            closing.account_id,
            closing.final_micros,
            closing.seconds,
            closing.detail,
            TOMBSTONE_S,
            TOMBSTONES_TRIMMED_MAX,
            in_brief(closing.detail),
            int(closing.is_out_of_credit),
            *[argument for cap in closing.caps for argument in (cap.name, cap.limit_micros)],
        )
        assert result != b"other_account", "a call is closed by the account that opened it"
        seconds, is_repeat = before or (0, 0)
        return CloseOutcome(
            CloseResult(result.decode()), charged, written_off, balance, seconds, bool(is_repeat)
        )

    async def resend_ending(self, call_id: str, account_id: str, opened: bytes = b"") -> bool:
        """Put a call's end into the outbox again unless it waits there; True if it was put."""
        partition = self.partition(account_id)
        return bool(await self._run(self._resend_ending, partition, call_id, account_id, opened))

    async def resend_open(self, partition: int) -> int:
        """Put the holds and seconds of open calls into the outbox again; return their number."""
        return int(await self._run(self._resend_open, partition, timeout_s=REBUILD_TIMEOUT_S))

    async def endings(
        self, partition: int, after_s: int, *, count_max: int, age_s_min: int = 0
    ) -> EndingPage:
        """Return calls that ended after this second of the gate's clock, oldest first."""
        answer = await self._run(self._endings, partition, after_s, age_s_min, count_max)
        ended_s, *flat = answer
        endings = [_ending(*flat[i : i + 5]) for i in range(0, len(flat), 5)]
        return EndingPage(endings, int(ended_s))

    async def name_carrier_call(
        self, call_id: str, account_id: str, carrier_call_id: str
    ) -> str | None:
        """Store an open call's id at the carrier; None if the call is not open."""
        partition = self.partition(account_id)
        filling = await self._run(self._name, partition, call_id, account_id, carrier_call_id)
        return None if filling is None else str(filling.decode())

    async def fillings(self, partitions: Collection[int]) -> Mapping[int, str]:
        """Return the filling of each of the partitions that is ready."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        for partition in partitions:
            meta = self._keys[partition][_KEY_NAMES.index("meta")]
            pipeline.execute_command("HMGET", meta, "ready", "filling")
        answers = await self._bounded(pipeline.execute())
        return {
            partition: (filling or b"").decode()
            for partition, (ready, filling) in zip(partitions, answers, strict=True)
            if ready == b"1"
        }

    async def credit(self, account_id: str, sequence: int, amount_micros: int) -> CreditResult:
        """Apply one credit. Raises MoneyError if the balance could not be kept exactly."""
        partition = self.partition(account_id)
        result = await self._run(
            self._credit, partition, account_id, sequence, amount_micros, LIMIT
        )
        if result == b"out_of_range":
            raise MoneyError("balance beyond the largest that can be kept exactly")
        return CreditResult(result.decode())

    async def credit_sequence(self, account_id: str) -> int:
        """Return the sequence number of the last credit applied, 0 for none."""
        _, sequence = await self._run(self._read, self.partition(account_id), account_id, 1)
        return int(sequence)

    async def freeze(self, account_id: str, frozen: bool) -> None:
        """Refuse, or allow again, an account's new and running calls."""
        await self._run(self._freeze, self.partition(account_id), account_id, int(frozen))

    async def restate(self, account_id: str, calls: Mapping[str, tuple[bytes, bytes]]) -> None:
        """Replace what is remembered of an account's ended calls: id -> opening, end in brief."""
        told: list[str | bytes] = []
        for call_id, records in calls.items():
            told += (call_id, account_id, *records)
        await self._run(self._restate, self.partition(account_id), *told)

    async def balance(self, account_id: str) -> int:
        """Return the available micros, 0 for an account never credited."""
        micros, _ = await self._run(self._read, self.partition(account_id), account_id, 0)
        return int(micros)

    async def calls_of_key(self, account_id: str, key_id: str) -> int:
        """Return how many open calls an account's API key pays for."""
        meta = self._keys[self.partition(account_id)][_KEY_NAMES.index("meta")]
        field = f"k:{key_id}".encode()
        return int(await self._bounded(self._redis.execute_command("HGET", meta, field)) or 0)

    async def rebuild(self, partition: int, state: PartitionState) -> bool:
        """Fill an empty partition; return False if it was ready already.

        Its outbox must be drained before `state` is read, or its entries would count twice.
        """
        # Before the script that makes it ready: a filling that dies in between is repeated as a
        # whole.
        for start in range(0, len(state.memories), MEMORIES_PER_SCRIPT_MAX):
            some = state.memories[start : start + MEMORIES_PER_SCRIPT_MAX]
            told = chain.from_iterable(map(astuple, some))
            await self._run(
                self._remember, partition, TOMBSTONE_S, *told, timeout_s=REBUILD_TIMEOUT_S
            )
        open_calls = [astuple(call) for call in state.open_calls]
        rows = (state.accounts, open_calls, state.closed_calls, state.frozen, state.spent)
        filled = await self._run(
            self._rebuild,
            partition,
            _ENCODER.encode(rows),
            state.mark.booked_id,
            timeout_s=REBUILD_TIMEOUT_S,
        )
        if filled < 0:
            raise NotDrainedError("a partition with a full outbox cannot be rebuilt")
        return bool(filled)

    async def is_ready(self, partition: int) -> bool:
        """Return whether the partition has been filled from the book of record."""
        meta = self._keys[partition][_KEY_NAMES.index("meta")]
        ready = await self._bounded(self._redis.execute_command("HGET", meta, "ready"))
        return bool(ready == b"1")

    async def withdraw(self, partition: int, filling: str = "") -> bool:
        """Make a partition wait for `rebuild`; return False if it lives on another filling."""
        return bool(await self._run(self._withdraw, partition, filling))

    async def put_back(self, partition: int) -> bool:
        """Put a withdrawn partition back into service as it was; False if it is not withdrawn."""
        return bool(await self._run(self._put_back, partition))

    async def last_entry_ids(self, partitions: Collection[int]) -> Mapping[int, str]:
        """Return the id of the last entry that each has written, in one round trip."""
        outboxes = {partition: self._outbox(partition) for partition in partitions}
        return await self._bounded(redis_outbox.last_ids(self._redis, outboxes))

    async def outbox_length(self) -> int:
        """Return how many entries wait in all partitions."""
        outboxes = [self._outbox(partition) for partition in range(self.partitions)]
        return sum(await self._bounded(redis_outbox.lengths(self._redis, outboxes)))

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries, at most `count_max`."""
        return (await self.read_outboxes((partition,), count_max)).get(partition, ())

    async def read_outboxes(
        self, partitions: Collection[int], count_max: int
    ) -> Mapping[int, Sequence[OutboxEntry]]:
        """Return the oldest entries of the partitions that have any, in one round trip."""
        outboxes = {partition: self._outbox(partition) for partition in partitions}
        return await self._bounded(redis_outbox.read(self._redis, outboxes, count_max))

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        """Delete entries that the book of record holds."""
        await self.trim_outboxes({partition: entry_ids})

    async def trim_outboxes(self, entry_ids: Mapping[int, Sequence[str]]) -> None:
        """Delete entries of several partitions in one round trip."""
        each = [(self._outbox(p), b" ".join(map(str.encode, ids))) for p, ids in entry_ids.items()]
        if isinstance(self._redis, RedisCluster):
            requests = [([outbox], [ids]) for outbox, ids in each]
        else:
            requests = [([outbox for outbox, _ in each], [ids for _, ids in each])]
        answers = await self._bounded(evaluate_all(self._redis, self._forget, requests))
        for answer in answers:
            if isinstance(answer, Exception):
                raise _unavailable(answer)

    async def open_calls(self, node: str | None = None) -> Sequence[OpenCall]:
        """List the open calls of a node, or of all."""
        nodes = _ENCODER.encode([] if node is None else [node])
        found: list[OpenCall] = []
        for partition in range(self.partitions):
            flat = await self._run(self._open_calls, partition, nodes)
            found.extend(_open_call(*flat[i : i + 3]) for i in range(0, len(flat), 3))
        return found

    async def nodes_of(self, account_id: str) -> Mapping[str, str]:
        """Return an account's open calls -> their nodes."""
        partition = self.partition(account_id)
        own = self._keys[partition][_KEY_NAMES.index("own")]
        rows: dict[bytes, bytes] = await self._bounded(self._redis.execute_command("HGETALL", own))
        # An empty gate has no rows at all, and must not say that a call which lives is over.
        if not rows and not await self.is_ready(partition):
            raise StoreUnavailableError("a partition of the spend gate is not filled yet")
        open_calls = ((call.decode(), msgspec.json.decode(row)) for call, row in rows.items())
        return {call: str(row[1]) for call, row in open_calls if row[0] == account_id}

    async def snapshot(self, partition: int) -> PartitionState:
        """Return what a partition holds at one moment, sorted, without tombstones."""
        answer = await self._run(self._snapshot, partition, timeout_s=REBUILD_TIMEOUT_S)
        balances, sequences, owners, states, spent = (_pairs(answer[i]) for i in (0, 1, 2, 3, 5))
        return PartitionState(
            accounts=[
                (account.decode(), int(balances.get(account, 0)), int(sequences.get(account, 0)))
                for account in sorted(balances.keys() | sequences.keys())
            ],
            open_calls=[
                _open_call(call, owner, states[call]) for call, owner in sorted(owners.items())
            ],
            frozen=sorted(account.decode() for account in answer[4]),
            spent=[(name.decode(), int(micros)) for name, micros in sorted(spent.items())],
        )

    async def inspect(self, partition: int) -> GateRows:
        """Return all raw rows of a partition at one moment, without its outbox."""
        answer = await self._run(self._inspect, partition, timeout_s=REBUILD_TIMEOUT_S)
        balances, sequences, owners, holds, frozen, out, *others, foreign = answer
        caps, meta, tombstones, openings, endings, ages, cap_uses = map(_pairs, others)
        return GateRows(
            balances=_pairs(balances),
            sequences=_pairs(sequences),
            owners=_pairs(owners),
            holds=_pairs(holds),
            frozen=frozenset(frozen),
            out=frozenset(out),
            caps=caps,
            meta=meta,
            tombstones=tombstones,
            openings=openings,
            endings=endings,
            tombstone_ages=ages,
            cap_uses=cap_uses,
            foreign=[key.decode() for key in foreign],
            is_outbox_foreign=self._outbox(partition) in foreign,
        )

    def _outbox(self, partition: int) -> bytes:
        return self._keys[partition][_KEY_NAMES.index("led")]

    async def _run(
        self,
        script: Script,
        partition: int,
        *args: Argument,
        timeout_s: float | None = None,
    ) -> Any:
        """Run a script on a partition; return its answer."""
        answer = evaluate(self._redis, script, self._keys[partition], args)
        return await self._bounded(answer, timeout_s)

    async def _bounded(self, answer: Awaitable[_Answer], timeout_s: float | None = None) -> _Answer:
        """Wait for an answer, at most the timeout. Raises StoreUnavailableError."""
        try:
            # Giving up does not undo the request, which may run yet: each script may be repeated.
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await answer
        except TimeoutError as error:
            raise StoreUnavailableError(
                "the spend gate (Redis or Valkey) did not answer in time"
            ) from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(cause: Exception) -> StoreUnavailableError:
    error = refusals.unavailable("the spend gate (Redis or Valkey) refused or is away", cause)
    error.__cause__ = cause
    return error


def _open_call(call_id: bytes, owner: bytes, state: bytes) -> OpenCall:
    """Return a call from its rows in OWN and CALL."""
    account_id, node, *fields = msgspec.json.decode(owner)
    # Rows of the first version end here, those of the second before the key, and of calls that
    # nobody has answered before the time of the answer.
    carrier_call_id, per_minute_micros, cap_names, *rest = fields or ("", 0, ())
    key_id = rest[0] if rest else ""
    answered_ms = rest[1] if len(rest) > 1 else 0
    held, seconds = state.split(b":")
    return OpenCall(
        call_id.decode(),
        account_id,
        node,
        int(held),
        int(seconds),
        carrier_call_id,
        per_minute_micros,
        tuple(cap_names),
        key_id,
        answered_ms,
    )


def _ending(
    call_id: bytes, micros: int, account_id: bytes, seconds: int, opened: bytes
) -> GateEnding:
    return GateEnding(call_id.decode(), account_id.decode(), seconds, micros, opened)


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
