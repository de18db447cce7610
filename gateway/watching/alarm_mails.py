"""Mails alarms to the operator, straight to the mail server, because SQL may be what has failed.

Changes that come while a mail is being sent, or within a minute of the last one, are combined into
the next.
"""

from __future__ import annotations

import asyncio
import html
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog

from gateway.heartbeat.periodic_task import cancelled
from gateway.post.mail import Conversation, Envelope, MailServer, compose
from gateway.post.notices import MailText
from gateway.watching.alarms import NOT_MAILED

DELAYS_S: Final = (5.0, 15.0, 60.0, 180.0, 340.0)
"""Pauses between the attempts at one mail: ten minutes in all."""
APART_S: Final = 60.0
LINES_MAX: Final = 100
"""Changes listed in one mail; the newest if there are more."""
SUBJECT_MAX: Final = 200

log = structlog.get_logger(__name__)


class AlarmLine(NamedTuple):
    """What a mail says about one alarm."""

    kind: str
    """`Began`, `Lasts` or `Over`."""
    at: datetime
    title: str
    action: str
    """What to do; empty if the alarm is over."""


class AlarmMails:
    """The mails of one process to one address."""

    def __init__(
        self,
        server: MailServer,
        recipient: str,
        *,
        service: str,
        origin: str,
        clock: Callable[[], datetime],
        delays_s: Sequence[float] = DELAYS_S,
    ) -> None:
        self._server = server
        self._recipient = recipient
        self._service = service
        self._origin = origin
        self._clock = clock
        self._delays_s = delays_s
        self._lines: deque[tuple[AlarmLine, Callable[[], None] | None]] = deque()
        """With a callback for each, called once it has been sent or dropped."""
        self._sending: asyncio.Task[None] | None = None

    def tell(self, line: AlarmLine, on_told: Callable[[], None] | None = None) -> None:
        """Mail this soon; `on_told` is called once it has been sent or dropped."""
        self._lines.append((line, on_told))
        if len(self._lines) > LINES_MAX:
            _call_back([self._lines.popleft()])
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop.

        What is unsent is dropped, because the process that takes the duty over looks again.
        """
        if self._sending is not None:
            await cancelled(self._sending)

    async def _run(self) -> None:
        while self._lines:
            # A short wait, to combine what changes together.
            await asyncio.sleep(1.0)
            batch = tuple(self._lines)
            self._lines.clear()
            try:
                await self._send([line for line, _ in batch])
            except Exception:
                # The edge of the task: a bug must not hold up later alarms.
                log.exception(NOT_MAILED, count=len(batch))
            _call_back(batch)
            await asyncio.sleep(APART_S)

    async def _send(self, lines: Sequence[AlarmLine]) -> None:
        text = write(lines, service=self._service, origin=self._origin)
        server = self._server
        envelope = Envelope(
            sender=server.sender,
            recipient=self._recipient,
            message_id=f"<{secrets.token_hex(12)}@{server.domain}>",
            at=self._clock(),
            sender_name=self._service,
        )
        message = compose(text, envelope)

        def hand_over() -> None:
            conversation = Conversation(server)
            conversation.open()
            try:
                conversation.send(message, self._recipient)
            finally:
                conversation.close()

        failure = ""
        for delay_s in (*self._delays_s, 0.0):
            try:
                await asyncio.to_thread(hand_over)
            except OSError as error:
                failure = type(error).__name__
                log.warning("alarm not mailed yet", failure=failure, count=len(lines))
                await asyncio.sleep(delay_s)
            else:
                return
        log.error(NOT_MAILED, failure=failure, count=len(lines))


def _call_back(batch: Sequence[tuple[AlarmLine, Callable[[], None] | None]]) -> None:
    for _, on_told in batch:
        if on_told is not None:
            on_told()


def write(lines: Sequence[AlarmLine], *, service: str, origin: str) -> MailText:
    """Return the mail about some alarms."""
    first = lines[0]
    subject = f"{service}: {first.kind.lower()}: {first.title}"
    if len(lines) > 1:
        subject = f"{service}: {len(lines)} changes of alarms"
    parts = [_paragraph(line) for line in lines]
    parts.append(f"Live calls and active alarms: {origin}/live")
    body = "\n\n".join(parts) + "\n"
    # Subjects of alarms can contain text from others: it must not inject another header.
    subject = "".join(each if each.isprintable() else "?" for each in subject)[:SUBJECT_MAX]
    # Nor through an encoded word (RFC 2047).
    subject = subject.replace("=?", "= ?")
    return MailText(subject, body, f"<pre>{html.escape(body)}</pre>")


def _paragraph(line: AlarmLine) -> str:
    at = line.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    action = f"\n{line.action}" if line.action else ""
    return f"{line.kind}: {line.title}\n{at}{action}"
