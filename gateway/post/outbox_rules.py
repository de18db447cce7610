"""Decides when a mail is tried again, when it is abandoned, and how fast mails may follow.

Pure: takes the time as an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from accounts.link import MAIL_MAX
from accounts.notice import QueuedMail

FIRST_PAUSE: Final = timedelta(seconds=10)
PAUSE_FACTOR: Final = 3
PAUSE_MAX: Final = timedelta(hours=4)
"""Longest pause after a mail that was not accepted. RFC 5321 4.5.4.1 requires half an hour or more
once the first tries have failed."""
AWAY_PAUSE_MAX: Final = timedelta(minutes=5)
"""Longest pause while no server answers at all, which says nothing about the mail."""
LIFETIME: Final = MAIL_MAX
"""How long a mail is tried. RFC 5321 4.5.4.1 says four to five days between servers, which a relay
adds to ours; a notice about one's account is of little use later."""
SENDING_MAX: Final = timedelta(minutes=5)
"""How long a batch may take before its sender counts as dead."""
BATCH_MAX: Final = 10
"""Mails of one conversation with the server."""
BATCH_TIME_MAX: Final = timedelta(minutes=2)
"""After that no further mail of a batch begins. All time-outs of one mail, which add up to less
than two minutes, still fit into `SENDING_MAX`."""
PACE_PERIOD: Final = timedelta(minutes=1)
PACE_MAX: Final = 10
"""Mails to one account within `PACE_PERIOD`, so that no one's mailbox is flooded from here. Mails
that let someone in are counted per kind, regardless of what else goes to the account."""
LATE: Final = timedelta(minutes=10)
"""Age of a waiting mail at which an operator should look."""

NOT_WANTED: Final = "not wanted"
"""Why a mail was not sent that its reader has switched off."""
NO_ADDRESS: Final = "no address"
"""The failure of a mail to an account whose holder gave no address, removed it, or has yet to prove
it."""


def retry_at(
    tries: int, created_at: datetime, at: datetime, *, is_away: bool = False
) -> datetime | None:
    """Return when a mail that was not accepted is tried again; None if it is to be abandoned.

    Args:
        tries: How often it was tried, including this time.
        created_at: When it was queued.
        at: Now.
        is_away: Whether no server could be reached.
    """
    # The exponent is bounded: a float or a timedelta would overflow.
    pause = FIRST_PAUSE * PAUSE_FACTOR ** min(max(tries - 1, 0), 12)
    again = at + min(pause, AWAY_PAUSE_MAX if is_away else PAUSE_MAX)
    return again if again < created_at + LIFETIME else None


def is_final(reply_code: int) -> bool:
    """Return whether a server's reply to a mail is permanent (RFC 5321 4.2.1: 5yz).

    A code of 0 means no reply.
    """
    return 500 <= reply_code < 600


def describe(reply_code: int, kind: str) -> str:
    """Return the stored description of a failure.

    Never a server's text, which may quote an address.
    """
    return f"{reply_code} {kind}" if reply_code else kind


def paced(
    mails: Iterable[QueuedMail],
    others_lately: Mapping[tuple[str, str], int],
    urgent: Collection[str],
) -> tuple[Sequence[QueuedMail], Sequence[QueuedMail]]:
    """Return which mails may be sent now, and which have to wait a period; the order is kept.

    Args:
        mails: The mails that are due.
        others_lately: Account and name of a notice -> other mails that it gets now, or got within
            `PACE_PERIOD`.
        urgent: Names of the notices that only their own kind can hold up: someone who causes many
            mails of another kind must not delay them.
    """
    of_kind, of_account = Counter(others_lately), Counter[str]()
    for (account_id, _), count in others_lately.items():
        of_account[account_id] += count
    now, later = list[QueuedMail](), list[QueuedMail]()
    for mail in mails:
        kind = (mail.account_id, mail.notice.name)
        of_kind[kind] += 1
        of_account[mail.account_id] += 1
        count = of_kind[kind] if mail.notice.name in urgent else of_account[mail.account_id]
        (now if count <= PACE_MAX else later).append(mail)
    return now, later
