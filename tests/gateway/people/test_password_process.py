"""Passwords that another process hashes: how many at once, what a kill costs, and what is told."""

import asyncio
import os
import signal
import sys
import time
import traceback
import unicodedata
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from accounts.password import TYPED_MAX
from accounts.ports import HasherBusyError
from gateway.people import password_process
from gateway.people.password_child import NICENESS
from gateway.people.password_process import AT_ONCE, RESTART_S, WAITING_MAX, PasswordProcess

PASSWORD = "correct horse battery staple"


class Clock:
    """What the hasher takes for the time."""

    def __init__(self):
        self.s = 100.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def hasher(clock):
    hasher = PasswordProcess(clock)
    await hasher.start()
    yield hasher
    await hasher.close()


def stop(pid):
    """Stop a process; return once it stands still, which a signal alone does not say."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


class Held:
    """Lets the process of a hasher stand still while this is open."""

    def __init__(self, hasher):
        self._pid = hasher.pid

    def __enter__(self):
        stop(self._pid)

    def __exit__(self, *_):
        os.kill(self._pid, signal.SIGCONT)


def asked(hasher, count):
    return [asyncio.ensure_future(hasher.verify(PASSWORD, "")) for _ in range(count)]


async def test_a_password_is_that_of_its_hash_and_no_other_is(hasher):
    stored = await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, stored)
    assert not await hasher.verify(PASSWORD + " ", stored)
    assert not await hasher.verify("", stored)
    assert not hasher.is_outdated(stored)


async def test_two_keyboards_send_one_password(hasher):
    stored = await hasher.hash("Ka\u0308sebro\u0308tchen")
    assert await hasher.verify(unicodedata.normalize("NFC", "Ka\u0308sebro\u0308tchen"), stored)


async def test_any_text_can_be_hashed(hasher):
    for text in ("\ud800 surrogate", "nul\0byte", "🦊" * 128, "\u0390" * TYPED_MAX):
        stored = await hasher.hash(text)
        assert await hasher.verify(text, stored)
    assert not await hasher.verify("nul", await hasher.hash("nul\0byte"))


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "ünlesbar"])
async def test_no_password_is_that_of_an_empty_or_unreadable_hash(hasher, stored):
    assert not await hasher.verify(PASSWORD, stored)


async def test_a_text_longer_than_any_password_is_not_read(hasher):
    stored = await hasher.hash("x" * TYPED_MAX)
    assert await hasher.verify("x" * TYPED_MAX, stored)
    assert not await hasher.verify("x" * (TYPED_MAX + 1), stored)
    assert not await hasher.verify("x" * 200_000, stored)


JUDGED = {
    "correct-zebra-tram-92": "",
    "short": "password_short",
    "ä" * 129: "password_long",
    # In NFC it has 128 characters, and is read; one more is not.
    "a\u0308" * 128: "password_guessable",
    "x" * (TYPED_MAX + 1): "password_long",
    "CallerCaller": "password_guessable",
    "ada@example.com": "password_guessable",
    "\ud800" * 9: "password_guessable",
    "\0" * 9: "password_guessable",
}


@pytest.mark.parametrize("password", JUDGED)
async def test_what_is_wrong_with_a_new_password_is_said(hasher, password):
    assert await hasher.fault(password, ("ada@example.com", "Caller")) == JUDGED[password]


async def test_what_a_password_must_not_be_may_be_any_text(hasher):
    for text in ("\ud800", "\0", "@", "x" * 100_000, "😀" * 100_000):
        assert await hasher.fault("correct-zebra-tram-92", (text, text)) == ""


async def test_new_passwords_are_judged_nowhere_but_in_that_process(hasher):
    program = (
        "import asyncio, sys\n"
        "from gateway.people.password_policy import PasswordPolicy\n"
        "from gateway.people.password_process import PasswordProcess\n"
        "async def main():\n"
        "    hasher = PasswordProcess()\n"
        "    policy = PasswordPolicy(hasher, 'Caller')\n"
        "    print(await policy.fault('1234567890' * 12, 'ada@example.com'))\n"
        "    print('zxcvbn' in sys.modules)\n"
        "    await hasher.close()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().split() == ["password_guessable", "False"]


async def test_sixteen_wait_and_the_next_is_refused(hasher):
    with Held(hasher):
        waiting = asked(hasher, AT_ONCE + WAITING_MAX)
        await asyncio.sleep(0)
        with pytest.raises(HasherBusyError):
            await hasher.verify(PASSWORD, "")
        with pytest.raises(HasherBusyError):
            await hasher.hash(PASSWORD)
        with pytest.raises(HasherBusyError):
            await hasher.fault(PASSWORD, ())
    assert await asyncio.gather(*waiting) == [False] * len(waiting)
    assert await hasher.hash(PASSWORD)


async def test_who_goes_away_gives_up_a_place_only_when_nothing_is_done_for_it(hasher):
    with Held(hasher):
        waiting = asked(hasher, AT_ONCE + WAITING_MAX)
        await asyncio.sleep(0.01)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        # Those that wait have gone; what the process has goes on.
        again = asked(hasher, WAITING_MAX)
        await asyncio.sleep(0.01)
        with pytest.raises(HasherBusyError):
            await hasher.verify(PASSWORD, "")
    assert await asyncio.gather(*again) == [False] * WAITING_MAX
    assert not await hasher.verify(PASSWORD, "")


async def test_the_process_gives_way_to_all_others_and_knows_no_setting(hasher, monkeypatch):
    monkeypatch.setenv("CALLER_TWILIO_AUTH_TOKEN", "a secret")
    monkeypatch.setenv("DATABASE_URL", "a secret")
    other = PasswordProcess()
    assert await other.hash(PASSWORD)
    assert os.getpriority(os.PRIO_PROCESS, other.pid) >= NICENESS
    if sys.platform == "linux":
        # With a session of its own it would have as much of a core as all else together.
        assert os.getsid(other.pid) == os.getsid(0)
        known = Path(f"/proc/{other.pid}/environ").read_bytes().split(b"\0")
        assert {line.partition(b"=")[0] for line in known} == {b"PYTHONPATH", b""}
        assert "Max core file size        0" in Path(f"/proc/{other.pid}/limits").read_text()
        assert PASSWORD.encode() not in Path(f"/proc/{other.pid}/cmdline").read_bytes()
    await other.close()


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="platform: Linux only")
async def test_a_core_that_is_full_keeps_nobody_from_signing_in(hasher):
    stored = await hasher.hash(PASSWORD)
    core = min(os.sched_getaffinity(0))
    for each in Path(f"/proc/{hasher.pid}/task").iterdir():
        os.sched_setaffinity(int(each.name), {core})
    program = f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile 1: pass"
    others = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for other in others:
            await other.stdout.readline()
        assert await hasher.verify(PASSWORD, stored)
    finally:
        for other in others:
            other.kill()
            await other.wait()


async def test_one_that_is_killed_is_started_again_and_asked_once_more(hasher, clock):
    stored = await hasher.hash(PASSWORD)
    clock.s += RESTART_S
    first = hasher.pid
    with capture_logs() as logs:
        stop(first)
        waiting = [
            *(asyncio.ensure_future(hasher.verify(PASSWORD, stored)) for _ in range(3)),
            asyncio.ensure_future(hasher.verify("another", stored)),
        ]
        await asyncio.sleep(0.01)
        os.kill(first, signal.SIGKILL)
        assert await asyncio.gather(*waiting) == [True, True, True, False]
    assert hasher.pid != first
    assert [(line["event"], line["code"]) for line in logs] == [("password hasher ended", -9)]


async def test_ten_whose_process_is_killed_in_the_middle_are_all_answered(hasher, clock):
    stored = await hasher.hash(PASSWORD)
    clock.s += RESTART_S
    with capture_logs() as logs:
        waiting = [
            *(asyncio.ensure_future(hasher.verify(PASSWORD, stored)) for _ in range(4)),
            *(asyncio.ensure_future(hasher.verify("another", stored)) for _ in range(3)),
            *(asyncio.ensure_future(hasher.fault("short", ())) for _ in range(3)),
        ]
        # Some have been answered, some are being worked at, the others wait.
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        os.kill(hasher.pid, signal.SIGKILL)
        answers = await asyncio.gather(*waiting)
    assert answers == [True] * 4 + [False] * 3 + ["password_short"] * 3
    assert [line["event"] for line in logs] == ["password hasher ended"]


async def test_one_that_cannot_stay_is_not_started_again_and_again(hasher, clock, monkeypatch):
    clock.s += RESTART_S
    monkeypatch.setattr(password_process, "_MODULE", "no.such.module")
    os.kill(hasher.pid, signal.SIGKILL)
    with pytest.raises(HasherBusyError):
        await hasher.verify(PASSWORD, "")
    tried = hasher.pid
    for _ in range(3):
        with pytest.raises(HasherBusyError):
            await hasher.verify(PASSWORD, "")
    assert hasher.pid in (tried, None)
    monkeypatch.undo()
    clock.s += RESTART_S
    assert not await hasher.verify(PASSWORD, "")


async def test_one_that_stands_still_is_ended_and_the_next_is_asked(hasher, clock, monkeypatch):
    monkeypatch.setattr(password_process, "ANSWER_S_MAX", 0.05)
    stop(hasher.pid)
    with capture_logs() as logs, pytest.raises(HasherBusyError):
        await hasher.verify(PASSWORD, "")
    assert [line["event"] for line in logs] == ["password hasher is stuck; ending it"]
    monkeypatch.undo()
    clock.s += RESTART_S
    assert not await hasher.verify(PASSWORD, "")


async def test_a_system_that_starts_nothing_is_no_failure_of_ours(clock, monkeypatch):
    hasher = PasswordProcess(clock)

    async def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    with capture_logs() as logs, pytest.raises(HasherBusyError):
        await hasher.hash(PASSWORD)
    assert [line["event"] for line in logs] == ["password hasher cannot be started"]
    monkeypatch.undo()
    clock.s += RESTART_S
    assert await hasher.hash(PASSWORD)
    await hasher.close()


async def test_the_process_ends_with_its_parent(hasher):
    child = hasher.pid
    assert not await hasher.verify(PASSWORD, ""), "it runs, and has seen to its signals"
    # One for the whole service is not for it.
    os.kill(child, signal.SIGTERM)
    assert not await hasher.verify(PASSWORD, "")
    assert hasher.pid == child
    program = (
        "import asyncio, os, signal\n"
        "from gateway.people.password_process import PasswordProcess\n"
        "async def main():\n"
        "    hasher = PasswordProcess()\n"
        "    await hasher.hash('x')\n"
        "    print(hasher.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    until = time.monotonic() + 20
    while Path(f"/proc/{int(out)}").exists() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert not Path(f"/proc/{int(out)}").exists()


def all_of(error: BaseException) -> str:
    """Return an exception as a tool shows it that prints variables, with all that is behind it."""
    texts, seen = [], error
    while seen is not None:
        shown = traceback.TracebackException.from_exception(seen, capture_locals=True)
        texts.extend(shown.format())
        seen = seen.__context__
    return "".join(texts)


@pytest.mark.parametrize("work", ["hash", "verify", "fault"])
async def test_what_is_refused_says_no_password(hasher, clock, work, monkeypatch):
    stored = await hasher.hash(PASSWORD)
    arguments = {"hash": (), "verify": (stored,), "fault": (("Caller",),)}[work]
    # Put together here, so that no line of this file shows it.
    secret = "".join(reversed("terces"))
    monkeypatch.setattr(password_process, "ANSWER_S_MAX", 0.05)
    stop(hasher.pid)
    for _ in range(2):  # without an answer, then without a process
        with pytest.raises(HasherBusyError) as caught:
            await getattr(hasher, work)(secret, *arguments)
        error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
        assert "password_process.py" in all_of(error)
        assert secret not in all_of(error)


async def test_a_hasher_that_is_closed_refuses_and_says_no_password(hasher):
    waiting = asked(hasher, AT_ONCE + 2)
    await asyncio.sleep(0)
    await hasher.close()
    assert all(
        each is False or isinstance(each, HasherBusyError)
        for each in await asyncio.gather(*waiting, return_exceptions=True)
    )
    secret = "".join(reversed("terces"))
    with pytest.raises(HasherBusyError) as caught:
        await hasher.hash(secret)
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert secret not in all_of(error)
    await hasher.close()
