"""Decides what is bad enough to notify an operator, and when it is over. Pure: time is an argument.

A rule reads a figure for each of its subjects. One bound raises the alarm and another ends it, each
held for a while, so that a figure that swings around a bound rings once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import msgspec

from gateway.charging.audited import AUDIT_LINE, Audited
from gateway.stores.erasure_journal import JOURNAL_LINE
from gateway.watching.left_calls import LeftCalls
from gateway.watching.next_steps import NEXT_STEPS
from gateway.watching.rows import NodeRow
from gateway.watching.totals import Health, LastMinute, Totals

ALARMS_MAX: Final = 200
"""Alarms active at once; the first ones stay."""
ATTEMPTS_MIN: Final = 20
"""Attempts from which a share is meaningful."""
CALLS_MIN: Final = 5
PERCENT: Final = 100
SUBJECT_MAX: Final = 200
TITLE_MAX: Final = SUBJECT_MAX + 100
PARTS_AFTER_S: Final = 120.0
"""How long a prefix must be bad to be reported beside its country: long enough that the country
comes first if all its prefixes are bad, because their figures cross a bound minutes apart."""
LEFT_CLEAR_S: Final = 180.0
"""More than `left_calls.ORPHAN_NS`, plus the pause between two counts."""
AT_CARRIER: Final = "at the carrier"
OF_LOST_NODES: Final = "of lost nodes"
UNAUDITED: Final = "not done for days"
UNAUDITED_DAYS_MIN: Final = 3
"""Days without an audit, which should run once a day."""
NOT_MAILED: Final = "alarm not mailed"
"""The error of a notification itself: an alarm about it would cause more of them."""
LEFT_LINES: Final = frozenset({"ghost given up", "ghost dropped", "ghost list full"})
"""Errors covered by the rule about ghosts and orphans."""
_COVERED: Final = LEFT_LINES | {NOT_MAILED, AUDIT_LINE, JOURNAL_LINE}
"""Errors that the rule of errors leaves out: another rule covers them, or none does."""
_DAY_S: Final = 86_400
_SECOND_MS: Final = 1000

# Others can write to the store too: values must stay within what can be shown as a time.
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
"""Since the epoch."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the rules look at."""

    totals: Totals
    nodes: Sequence[NodeRow]
    silent_calls: int
    """Calls in which people should talk and one side cannot be heard."""
    errors: Mapping[str, int]
    """Error lines in the log within the last minutes -> their number."""
    store_away_s: float
    """How long nothing has been heard from the nodes."""
    spend_micros_max: int | None = None
    """Limit on what all calls may cost per minute, in each currency; None for no limit."""
    left: LeftCalls = field(default_factory=LeftCalls)
    last_minute: LastMinute = field(default_factory=LastMinute)
    audit: Audited | None = None
    """The last audit of the book; None if none is known."""
    at_s: float = 0.0
    """When that was read; since the epoch."""
    lacking: str = ""
    """The rights that our user lacks at Valkey, as access lists write them; empty for none."""
    standing: Collection[str] = ()
    """Subjects of the current rule whose alarm is active, if it is a rule with parts."""


Reading = Mapping[str, float]
"""Figure by subject; a missing one counts as the bound at which an alarm is over."""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """What is bad, how bad it has to be, and for how long."""

    name: str
    title: str
    """What an operator reads, with the subject in it."""
    action: str
    """What to do first."""
    read: Callable[[Figures], Reading]
    raise_at: float
    clear_at: float
    raise_after_s: float = 0.0
    clear_after_s: float = 30.0
    unit: str = ""
    scale: float = 1.0
    """What a figure is divided by before it is shown."""
    has_parts: bool = False
    """Whether subjects are countries and, as parts of these, prefixes. A part is not reported while
    its country's alarm is active."""

    def whole_of(self, subject: str) -> str:
        """Return what a subject is a part of; empty for nothing."""
        return subject.rpartition(_PART)[0] if self.has_parts else ""

    def held_s(self, subject: str) -> float:
        """Return how long a subject must be bad."""
        return PARTS_AFTER_S if self.whole_of(subject) else self.raise_after_s

    def is_bad(self, value: float) -> bool:
        """Return whether a figure raises the alarm; lower is worse if the bounds say so."""
        is_rising = self.raise_at >= self.clear_at
        return value >= self.raise_at if is_rising else value <= self.raise_at

    def is_good(self, value: float) -> bool:
        """Return whether a figure ends it."""
        is_rising = self.raise_at >= self.clear_at
        return value <= self.clear_at if is_rising else value >= self.clear_at


def _lost(figures: Figures) -> Reading:
    # A node that was asked to stop is gone for that reason.
    return {row.node: float(row.is_lost and not row.is_draining) for row in figures.nodes}


def _lag(figures: Figures) -> Reading:
    return {row.node: row.lag_ms for row in figures.nodes if not row.is_lost}


def _fullness(figures: Figures) -> Reading:
    there = [row for row in figures.nodes if not row.is_lost]
    return {row.node: PERCENT * row.calls / max(1, row.calls_max) for row in there}


_PART: Final = " +"


def _subjects(figures: Figures) -> Iterator[tuple[str, Health, Sequence[Health]]]:
    """Yield countries and prefixes, and for a country the prefixes whose own alarm is active."""
    for row in figures.totals.countries:
        country = row.country or "no country"
        parts = {f"{country} {part.prefix}": part for part in row.prefixes}
        yield country, row, [part for name, part in parts.items() if name in figures.standing]
        yield from ((name, part, ()) for name, part in parts.items())


def _failures(figures: Figures) -> Reading:
    reading = {}
    for name, row, reported in _subjects(figures):
        # What is reported for a prefix is not repeated for its country, whose other calls may be
        # fine.
        attempts = row.attempts - sum(part.attempts for part in reported)
        failed = row.failed - sum(part.failed for part in reported)
        if attempts >= ATTEMPTS_MIN:
            reading[name] = PERCENT * failed / attempts
    return reading


def _no_network(figures: Figures) -> Reading:
    attempts, without = figures.last_minute
    return {"": PERCENT * without / attempts} if attempts >= CALLS_MIN else {}


def _delay(figures: Figures) -> Reading:
    reading = {}
    for name, row, reported in _subjects(figures):
        # The same, as far as a median allows: half of the calls and more may be theirs.
        attempts = sum(part.attempts for part in reported)
        is_theirs = 2 * attempts >= row.attempts and name not in figures.standing
        if row.attempts >= ATTEMPTS_MIN and row.pdd_ms is not None and not is_theirs:
            reading[name] = float(row.pdd_ms)
    return reading


def _talking(figures: Figures) -> int:
    return sum(figures.totals.by_state.get(state, 0) for state in ("answered", "held"))


def _mos(figures: Figures) -> Reading:
    mos = figures.totals.mos
    return {"": mos} if mos is not None and _talking(figures) >= CALLS_MIN else {}


def _silence(figures: Figures) -> Reading:
    talking = _talking(figures)
    return {"": PERCENT * figures.silent_calls / talking} if talking >= CALLS_MIN else {}


def _spend(figures: Figures) -> Reading:
    most = figures.spend_micros_max
    if most is None:
        return {}
    spent = figures.totals.spend_micros_per_minute
    return {currency: PERCENT * micros / max(1, most) for currency, micros in spent.items()}


def _errors(figures: Figures) -> Reading:
    return {event: float(n) for event, n in figures.errors.items() if event not in _COVERED}


def _left(figures: Figures) -> Reading:
    # Calls that were given up, or never recorded, are no longer in any list.
    lines = sum(figures.errors.get(line, 0) for line in LEFT_LINES)
    return {AT_CARRIER: figures.left.at_carrier + lines, OF_LOST_NODES: figures.left.of_lost_nodes}


def _audit(figures: Figures) -> Reading:
    if figures.audit is None:
        return {}
    days = (figures.at_s - figures.audit.at_s) // _DAY_S
    return figures.audit.findings | {UNAUDITED: days if days >= UNAUDITED_DAYS_MIN else 0}


def _journal(figures: Figures) -> Reading:
    return {"": float(figures.errors.get(JOURNAL_LINE, 0))}


def _lacking(figures: Figures) -> Reading:
    return {figures.lacking[:SUBJECT_MAX]: 1.0} if figures.lacking else {}


def _away(figures: Figures) -> Reading:
    # The store answers, and itself tells why no node is heard.
    return {"": 0.0 if figures.lacking else figures.store_away_s}


ERRORS: Final = "errors"
STORE_RIGHTS: Final = "store_rights"
STORE_AWAY: Final = "store_away"

RULES: Final = (
    AlarmRule(
        "node_lost",
        "Node {subject} is gone.",
        "Look whether its process runs and reaches Valkey; its calls are settled by another node.",
        # The stored node data may have been deleted: each node reports again within a second or
        # two.
        read=_lost,
        raise_at=1,
        clear_at=0,
        raise_after_s=3,
        clear_after_s=5,
    ),
    AlarmRule(
        "loop_lag",
        "Node {subject} is late: {value} ms.",
        "Something else takes its processor: drain it, and look at the machine.",
        # A gap that everyone hears, in every call.
        read=_lag,
        raise_at=250,
        clear_at=100,
        unit="ms",
    ),
    AlarmRule(
        "node_full",
        "Node {subject} is {value} % full.",
        "Start another node, or raise CALLER_CALLS_MAX if its processor is idle.",
        read=_fullness,
        raise_at=90,
        clear_at=80,
        raise_after_s=30,
        unit="%",
    ),
    AlarmRule(
        "calls_fail",
        "{value} % of the calls to {subject} fail.",
        "Look at the causes of failed calls on the live page, then at the carrier's status page.",
        read=_failures,
        raise_at=30,
        clear_at=20,
        raise_after_s=30,
        unit="%",
        has_parts=True,
    ),
    # An unreachable carrier is reported within a minute, however well calls went before.
    AlarmRule(
        "no_network",
        "{value} % of the calls of the last minute found no phone network.",
        "Run `caller check`: it asks the carrier; then look at the carrier's status page.",
        read=_no_network,
        raise_at=50,
        clear_at=10,
        raise_after_s=10,
        unit="%",
    ),
    # The bounds are those of E.721 for international calls: mean and 95 of 100.
    AlarmRule(
        "slow_ringing",
        "Calls to {subject} take {value} s until they ring.",
        "The carrier's route is slow: look at its status page, or ask it.",
        read=_delay,
        raise_at=11_000,
        clear_at=8_000,
        raise_after_s=30,
        unit="s",
        scale=1000,
        has_parts=True,
    ),
    # G.107, Annex B: below 3.1 nearly all users are dissatisfied, above 3.6 some.
    AlarmRule(
        "low_mos",
        "Calls sound bad: MOS {value}.",
        "Look on the live page whether one node, one country or one path is behind it.",
        read=_mos,
        raise_at=3.1,
        clear_at=3.6,
        raise_after_s=30,
    ),
    AlarmRule(
        "one_way_audio",
        "In {value} % of calls one side is silent.",
        "Look whether media sockets and the UDP port are open from outside.",
        read=_silence,
        raise_at=20,
        clear_at=10,
        raise_after_s=20,
        unit="%",
    ),
    AlarmRule(
        "spend",
        "Calls cost {value} % of the bound a minute, in {subject}.",
        "Look who calls where on the live page; `caller fraud` freezes an account.",
        read=_spend,
        raise_at=100,
        clear_at=80,
        raise_after_s=10,
        unit="%",
    ),
    AlarmRule(
        ERRORS,
        "An error is logged: {subject} ({value} times).",
        "Look the line up under Other events in the manual of operations.",
        read=_errors,
        raise_at=1,
        clear_at=0,
        raise_after_s=0,
        clear_after_s=1,
    ),
    AlarmRule(
        "ghost_calls",
        "Calls that nobody looks after, {subject}: {value}.",
        "They may cost until they end: find them in the carrier's list of calls, and end them"
        " there. Their carrier_call_id is in the log: of those at the carrier in the lines"
        " `ghost not ended`, `ghost given up`, `ghost dropped` and `ghost list full`, of those of"
        " lost nodes in that node's `call placed`. A node that runs settles the latter.",
        # A process that takes over the duty restarts the count of how long calls have been left.
        read=_left,
        raise_at=1,
        clear_at=0,
        raise_after_s=0,
        clear_after_s=LEFT_CLEAR_S,
    ),
    AlarmRule(
        "audit_failure",
        "The audit of the ledger: {subject} ({value}).",
        "Run `caller ledger audit`: it names whose money it is, and what to do.",
        # A finding must be present in two audits in a row.
        read=_audit,
        raise_at=1,
        clear_at=0,
    ),
    AlarmRule(
        "deletions_wait",
        "No account can be deleted: erasures cannot be recorded ({value} times).",
        "Make the folder of CALLER_DATA_DIR writable, or free its disk, where the log has a line of"
        " that name; `caller check` says what is wrong. Deletions then go on by themselves.",
        read=_journal,
        raise_at=1,
        clear_at=0,
        raise_after_s=0,
        clear_after_s=1,
    ),
    AlarmRule(
        STORE_RIGHTS,
        "Valkey refuses what nodes need: {subject}.",
        "Add that to the line of our user in Valkey's access list (see The access list of Valkey in"
        " the manual of operations).",
        read=_lacking,
        raise_at=1,
        clear_at=0,
        raise_after_s=0,
        clear_after_s=5,
    ),
    AlarmRule(
        STORE_AWAY,
        "Valkey cannot be reached, or no node speaks, for {value} s.",
        "Look whether Valkey runs, and whether nodes reach it: `caller check` on each of them says"
        " why. Calls go on for CALLER_GRACE_S without it.",
        read=_away,
        raise_at=10,
        clear_at=1,
        raise_after_s=0,
        clear_after_s=5,
        unit="s",
    ),
)
"""All rules; `docs/operations.md` says what to do about each."""
_OF_STORE: Final = tuple(rule for rule in RULES if rule.name in (STORE_RIGHTS, STORE_AWAY))
"""Those judged whether or not calls and nodes are known."""
BY_NAME: Final[Mapping[str, AlarmRule]] = {rule.name: rule for rule in RULES}


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An active alarm."""

    rule: str
    subject: Annotated[str, msgspec.Meta(max_length=SUBJECT_MAX)]
    title: Annotated[str, msgspec.Meta(max_length=TITLE_MAX)]
    value: float
    """Its value when it began, in `unit`; `title` includes it."""
    unit: str
    since_s: Seconds
    now: float | None = None
    """Its value when it was last judged; None: no longer known."""
    told_s: Seconds | None = None
    """When an operator was last notified of it; None if no one was: it is silenced, or the notice
    on its way."""

    @property
    def name(self) -> str:
        """Used to acknowledge and silence it."""
        return f"{self.rule}:{self.subject}"

    def as_now(self) -> Alarm:
        """Return the same alarm with its current figure, if known."""
        if self.now is None:
            return self
        rule = BY_NAME.get(self.rule)
        title = self.title if rule is None else _title(rule, self.subject, self.now)
        return msgspec.structs.replace(self, title=title, value=self.now)


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm that has begun, or is over."""

    alarm: Alarm
    is_over: bool


@dataclass(slots=True)
class _Watched:
    """One subject of one rule."""

    alarm: Alarm | None = None
    since_s: float | None = None
    """Since when it has been bad, or good while the alarm is active."""


@dataclass(slots=True)
class AlarmBoard:
    """The alarms of a deployment, as one process sees them."""

    _watched: dict[tuple[str, str], _Watched] = field(default_factory=dict)

    def standing(self) -> list[Alarm]:
        """Return the active alarms, oldest first."""
        found = [each.alarm for each in self._watched.values() if each.alarm is not None]
        return sorted(found, key=lambda alarm: (alarm.since_s, alarm.name))

    @property
    def is_store_away(self) -> bool:
        """Whether that alarm is active."""
        return any(alarm.rule == STORE_AWAY for alarm in self.standing())

    @property
    def is_store_told_of(self) -> bool:
        """Whether any alarm of the store is active."""
        return any(each.alarm is not None for each in self._of_store().values())

    def _of_store(self) -> dict[tuple[str, str], _Watched]:
        names = [rule.name for rule in _OF_STORE]
        return {key: each for key, each in self._watched.items() if key[0] in names}

    def adopt(self, alarms: Sequence[Alarm], *, keeps_away: bool = False) -> None:
        """Continue from what another process has found; on request keep our own store alarms."""
        own = self._of_store() if keeps_away else {}
        found = {
            (each.rule, each.subject): _Watched(each)
            for each in alarms[:ALARMS_MAX]
            if each.rule in BY_NAME
        }
        self._watched = found | own

    def look(
        self, figures: Figures, now_s: float, *, only_store: bool = False
    ) -> list[AlarmChange]:
        """Judge the figures; return what has begun and what is over. `now_s` is wall-clock time."""
        # Everything else that is known is out of date then.
        is_away = only_store or BY_NAME[STORE_AWAY].is_bad(figures.store_away_s)
        rules = _OF_STORE if is_away else RULES
        return [change for rule in rules for change in self._judge(rule, figures, now_s)]

    def _judge(self, rule: AlarmRule, figures: Figures, now_s: float) -> list[AlarmChange]:
        if rule.has_parts:
            figures = replace(figures, standing=self._standing(rule))
        reading = rule.read(figures)
        changes = []
        for subject, value in reading.items():
            key = rule.name, subject
            if key not in self._watched:
                if not rule.is_bad(value) or not self._has_room(rule, subject):
                    continue
                self._watched[key] = _Watched()
            changes += self._step(rule, subject, value, now_s)
            self._note_figure(rule, subject, value)
        for name, subject in tuple(self._watched):
            if name == rule.name and subject not in reading:
                # Not at once: for a moment there may be too few calls for a figure.
                changes += self._step(rule, subject, rule.clear_at, now_s)
        return changes

    def _has_room(self, rule: AlarmRule, subject: str) -> bool:
        # A subject that no real name has was written by someone else with access to the store.
        is_name = len(subject) <= SUBJECT_MAX and subject.isprintable()
        # That nothing can be heard is reported whatever else is active.
        return is_name and (len(self._watched) < ALARMS_MAX or rule in _OF_STORE)

    def _step(self, rule: AlarmRule, subject: str, value: float, now_s: float) -> list[AlarmChange]:
        watched = self._watched[rule.name, subject]
        is_on = watched.alarm is not None
        if not (rule.is_good(value) if is_on else rule.is_bad(value)):
            watched.since_s = None
            if not is_on:
                del self._watched[rule.name, subject]
            return []
        # If the clock was set back, the wait starts over.
        if watched.since_s is None or watched.since_s > now_s:
            watched.since_s = now_s
        held_s = rule.clear_after_s if is_on else rule.held_s(subject)
        if now_s - watched.since_s < held_s or (not is_on and self._is_told(rule, subject)):
            return []
        if watched.alarm is not None:
            del self._watched[rule.name, subject]
            return [AlarmChange(watched.alarm, is_over=True)]
        watched.alarm, watched.since_s = _alarm(rule, subject, value, now_s), None
        return [AlarmChange(watched.alarm, is_over=False)]

    def _note_figure(self, rule: AlarmRule, subject: str, value: float) -> None:
        watched = self._watched.get((rule.name, subject))
        if watched is not None and watched.alarm is not None:
            watched.alarm = msgspec.structs.replace(watched.alarm, now=_shown(rule, value))

    def _standing(self, rule: AlarmRule) -> Collection[str]:
        watched = self._watched.items()
        return {subject for (name, subject), w in watched if name == rule.name and w.alarm}

    def _is_told(self, rule: AlarmRule, subject: str) -> bool:
        """Return whether a part's alarm would only repeat its whole's."""
        whole = self._watched.get((rule.name, rule.whole_of(subject)))
        return whole is not None and whole.alarm is not None

    def note_told(self, alarm: Alarm, now_s: float) -> None:
        """Record that an operator was notified of an alarm, if it is still active."""
        watched = self._watched.get((alarm.rule, alarm.subject))
        if watched is None or watched.alarm is None or watched.alarm.since_s != alarm.since_s:
            return
        watched.alarm = msgspec.structs.replace(watched.alarm, told_s=now_s)


def _alarm(rule: AlarmRule, subject: str, value: float, now_s: float) -> Alarm:
    shown = _shown(rule, value)
    return Alarm(
        rule=rule.name,
        subject=subject,
        title=_title(rule, subject, shown),
        value=shown,
        unit=rule.unit,
        since_s=now_s,
    )


def _shown(rule: AlarmRule, value: float) -> float:
    return round(value / rule.scale, 1)


def action_of(alarm: Alarm) -> str:
    """Return what to do first about an alarm; empty for one of another release."""
    if alarm.rule == ERRORS and alarm.subject in NEXT_STEPS:
        return NEXT_STEPS[alarm.subject]
    rule = BY_NAME.get(alarm.rule)
    return "" if rule is None else rule.action


def _title(rule: AlarmRule, subject: str, shown: float) -> str:
    words = rule.title
    if rule.unit == "ms" and shown >= _SECOND_MS:
        words, shown = words.replace("{value} ms", "{value} s"), round(shown / _SECOND_MS, 1)
    # Not in powers of ten, as six digits would be.
    return words.format(subject=subject, value=f"{shown:.12g}")
