"""The spans of a call, from what its state machine reports, whatever that is."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.call import machine
from gateway.call.machine import Call, State
from gateway.cause import Cause
from gateway.telemetry import spans
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.spans import SPANS, Trace

PARENT = b"p" * 8
OF_CALL = [*SPANS][[*SPANS].index(spans.ADMISSION) :]
ARGUMENTS = {
    machine.HoldRefused: (Cause.OUTGOING_CALL_BARRED,),
    machine.DialAccepted: ("CA1",),
    machine.DialFailed: (Cause.NETWORK_OUT_OF_ORDER,),
    machine.Ended: (Cause.ORIGINATOR_CANCEL, "caller"),
    machine.CarrierEnded: (Cause.NORMAL_CLEARING, "callee"),
}


class Played:
    """A call whose machine and trace are told the same, a nanosecond apart."""

    def __init__(self):
        self.ended = []
        ids = iter(range(1, 100))
        trace = Trace(b"t" * 16, 0, lambda n: next(ids).to_bytes(n), self.ended.append)
        self.now_ns = 10
        self.trace = CallTrace(trace, PARENT, self.now_ns)
        self.call = Call()

    def takes(self, kind):
        self.now_ns += 1
        before, event = self.call.state, kind(*ARGUMENTS.get(kind, ()))
        self.call.receive(event, self.now_ns)
        self.trace.advanced(self.call, before, event, self.now_ns)

    def begins(self):
        self.trace.requested("c1", "US")
        self.takes(machine.Requested)
        return self

    def goes(self, *kinds):
        for kind in kinds:
            self.takes(kind)
        return self

    @property
    def times(self):
        """Name -> first and last moment; of each name there is one."""
        found = {span.name: (span.start_ns, span.end_ns) for span in self.ended}
        assert len(found) == len(self.ended)
        return found

    @property
    def root(self):
        return self.ended[-1]


def test_a_call_as_it_should_be_is_one_span_after_the_other():
    played = Played().begins()
    played.goes(machine.HoldPlaced, machine.DialAccepted, machine.Ringing, machine.Answered)
    played.goes(machine.StreamStarted, machine.HeldByCaller, machine.ResumedByCaller)
    played.goes(machine.Ended, machine.CarrierEnded, machine.Settled)
    assert played.times == {
        spans.ADMISSION: (10, 11),
        spans.HOLD: (11, 12),
        spans.DIAL: (12, 13),
        spans.RING: (14, 15),
        spans.TALK: (15, 19),
        spans.HANG_UP: (19, 20),
        spans.SETTLE: (20, 21),
        spans.CALL: (10, 21),
    }
    root = played.root
    assert (root.name, root.parent_id, root.error) == (spans.CALL, PARENT, "")
    assert root.attributes == {
        "caller.call_id": "c1",
        "caller.country": "US",
        "caller.cause": "ORIGINATOR_CANCEL",
        "caller.ended_by": "caller",
    }
    assert root.events == [
        ("carrier.accepted", 13),
        ("carrier.ringing", 14),
        ("carrier.answered", 15),
        ("carrier.media", 16),
        ("carrier.ended", 20),
    ]


def test_the_order_to_the_carrier_lasts_until_it_is_answered_whatever_else_happens():
    """A caller hangs up while it is under way; the carrier then takes the call all the same."""
    played = Played().begins().goes(machine.HoldPlaced, machine.Ended)
    played.goes(machine.DialAccepted, machine.CarrierEnded, machine.Settled)
    times = played.times
    assert (times[spans.DIAL], times[spans.HANG_UP]) == ((12, 14), (13, 15))


def test_a_carrier_that_refuses_is_a_fault_of_the_order_and_of_the_call():
    played = Played().begins().goes(machine.HoldPlaced, machine.DialFailed, machine.Settled)
    dial = next(span for span in played.ended if span.name == spans.DIAL)
    assert (dial.error, dial.attributes) == (
        "NETWORK_OUT_OF_ORDER",
        {"caller.cause": "NETWORK_OUT_OF_ORDER"},
    )
    assert played.root.error == "NETWORK_OUT_OF_ORDER"


def test_a_refused_hold_says_its_code():
    played = Played().begins()
    played.trace.refused("insufficient_credit", 11)
    played.takes(machine.HoldRefused)
    assert played.times.keys() == {spans.ADMISSION, spans.HOLD, spans.CALL}
    assert played.root.attributes["caller.refusal"] == played.root.error == "insufficient_credit"


def test_a_refusal_before_the_call_ends_the_trace():
    played = Played()
    played.trace.refused("gateway_full", 12)
    played.trace.abandon(13)
    assert played.times == {spans.ADMISSION: (10, 12), spans.CALL: (10, 12)}
    assert played.root.error == "gateway_full"
    assert played.root.attributes == {"caller.refusal": "gateway_full"}


def test_a_caller_who_was_gone_leaves_a_trace_that_says_so():
    played = Played()
    played.trace.abandon(12)
    assert (played.root.error, played.root.end_ns) == ("abandoned", 12)


def test_a_call_that_has_begun_is_not_abandoned():
    played = Played().begins()
    played.trace.abandon(12)
    assert [span.name for span in played.ended] == [spans.ADMISSION]


@given(st.data())
def test_whatever_a_call_does_each_span_ends_once_within_its_own(data):
    played, kinds = Played().begins(), []
    while played.call.state is not State.SETTLED:
        possible = [
            event for (state, event), _ in machine.TRANSITIONS.items() if state is played.call.state
        ]
        # Late and repeated events change nothing; without end there would be no end.
        moves = [
            event
            for event in possible
            if machine.TRANSITIONS[played.call.state, event][0] is not played.call.state
        ]
        choices = possible if len(kinds) < 30 else moves
        kinds.append(data.draw(st.sampled_from(choices)))
        played.takes(kinds[-1])
    # The stream may come when all is over.
    before = len(played.ended)
    played.takes(machine.StreamStarted)
    assert len(played.ended) == before
    root, children = played.root, played.ended[:-1]
    assert root.name == spans.CALL
    assert (root.start_ns, root.end_ns) == (10, played.now_ns - 1)
    for span in children:
        assert span.parent_id == root.span_id
        assert root.start_ns <= span.start_ns <= span.end_ns <= root.end_ns
    names = Counter(span.name for span in children)
    assert {*names} <= {*OF_CALL}
    assert set(names.values()) == {1}
    # All but the order to the carrier follow one another without a gap.
    phases = sorted((span.start_ns, span.end_ns) for span in children if span.name != spans.DIAL)
    assert phases[0][0] == 10
    assert phases[-1][1] == root.end_ns
    noted = [name for name, _ in root.events]
    assert len(noted) == len(set(noted))
