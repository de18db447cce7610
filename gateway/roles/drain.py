"""Runs the drainer: empties the spend gate's outbox into the SQL book, sends mails and webhooks.

Imports no more than draining needs, since every node has one of these processes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from gateway.app import Services
from gateway.apps import APPS
from gateway.logs import formats
from gateway.roles import storage
from gateway.roles.audit import audit_daily
from gateway.roles.children import Pulse
from gateway.roles.journal import JournalDuty
from gateway.roles.mail import MailDuty
from gateway.roles.post import open_post
from gateway.roles.privacy import PrivacyDuty
from gateway.roles.process import stop_on_signal, wait
from gateway.settings import Settings

DRAIN_INTERVAL_S = 1.0
"""How soon after its end a call is found in the list."""
STARTING_NICENESS = 5
"""A quarter of a core that others want, too."""
DRAIN_TURN_S_MAX = 60.0
"""How long one batch may take before the drainer counts as stuck: several times what all time-outs
of its stores come to."""


async def work(settings: Settings, *, is_child: bool) -> None:
    """Drain until told to stop. Raises SettingsError for a data folder that cannot be used."""
    formats.sign(role="worker")
    # Opening stores and migrations give way too, but come to an end on a busy machine: who runs
    # only where nothing else wants to would not, and keep others waiting for the tables it locks.
    os.nice(STARTING_NICENESS)
    stop = stop_on_signal(is_child=is_child)
    ending = asyncio.ensure_future(wait(stop, is_child=is_child))
    # Wait for both: opening takes as long as a store is away, and the end must not wait for it.
    opening = asyncio.ensure_future(storage.open_stores(settings, is_child=is_child))
    await asyncio.wait((ending, opening), return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        # A store that is away is waited for; a parent that is gone has taken its own with it.
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        stop.leave()
        return
    stores, enough = opening.result(), asyncio.Event()
    _yield_to_audio()
    # First, as it may end the start.
    journal = JournalDuty(settings, stores, is_child=is_child)
    post = open_post(settings, stores)
    services = Services(settings=settings, stores=stores, notify=post.notify)
    works = [app.work(services) for app in APPS if app.work is not None]
    privacy = PrivacyDuty(settings, stores)
    duty = MailDuty(settings, stores.engine, privacy.empty_files)
    duty.start()
    privacy.start()
    auditing = audit_daily(stores)
    auditing.start()
    for work_of_app in works:
        work_of_app.start()
    journal.start()

    # `turn` runs before and after each pass; if a pass hangs, the pulse stops and the parent
    # replaces this process.
    pulse = Pulse(DRAIN_TURN_S_MAX, time.monotonic)
    drainer = storage.build_drainer(stores, settings, post.notify, pulse.turn)
    draining = asyncio.ensure_future(drainer.run(enough, DRAIN_INTERVAL_S))
    pulsing = asyncio.ensure_future(pulse.run()) if is_child else None
    try:
        # A drainer that fails ends the process, with its fault told.
        await asyncio.wait((ending, draining), return_when=asyncio.FIRST_COMPLETED)
        # It then makes one last pass: the calls of a node that is stopping are settled by now, and
        # their entries are in the outbox.
        enough.set()
        await draining
    finally:
        ending.cancel()
        if pulsing is not None:
            pulsing.cancel()
        await auditing.stop()
        await privacy.stop()
        # After the last pass, which may still report refunds.
        await post.mails.stop()
        await post.events.stop()
        await duty.stop()
        for work_of_app in works:
            await work_of_app.stop()
        await journal.stop()
        await stores.close()
    stop.leave()


def _yield_to_audio() -> None:
    """Run only where nothing else wants the core: books can wait, audio cannot.

    A nicer process is not enough on Linux: once running it keeps the core for its whole slice of
    some milliseconds, and every call on that core would hear it. SCHED_IDLE gives way at once.
    """
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(10)
