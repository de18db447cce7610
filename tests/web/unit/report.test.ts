/** What is reported of the phone's voice, whichever way it took. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { ReportSum } from '../../../web/src/sdk/call/report';
import type { Heard } from '../../../web/src/sdk/call/report';

const heard = (packets: number, more: Partial<Heard> = {}): Heard => {
  return { packets, lost: 0, concealedMs: 0, jitterMs: 0, bufferMs: 0, roundTripMs: null, ...more };
};

test('counts run on when the audio moves, and hold all that was sent through three changes', () => {
  const sum = new ReportSum();
  // What was sent by each path until each look, and which one was heard then. A second has more looks than one report.
  sum.take({ websocket: heard(10) }, 'websocket');
  sum.take({ websocket: heard(47), webrtc: heard(3) }, 'websocket');
  sum.take({ websocket: heard(50), webrtc: heard(7) }, 'webrtc');
  sum.take({ websocket: heard(50), webrtc: heard(500, { lost: 3 }) }, 'webrtc');
  // Left: what still comes by it, what comes by the other, and what was lost before, which is told by what comes next.
  sum.take({ websocket: heard(61), webrtc: heard(531, { lost: 3 }) }, 'websocket');
  sum.take({ websocket: heard(300), webrtc: heard(531, { lost: 3 }) }, 'websocket');
  sum.take({ websocket: heard(338), webrtc: heard(540, { lost: 34 }) }, 'webrtc');
  const report = sum.report();
  assert.deepEqual([report?.packets, report?.lost], [338 + 540, 34]);
});

test('what a path conceals while the other one is heard is not reported', () => {
  const sum = new ReportSum();
  sum.take({ webrtc: heard(400, { concealedMs: 20 }) }, 'webrtc');
  sum.take({ webrtc: heard(500, { concealedMs: 60 }) }, 'webrtc');
  sum.take({ websocket: heard(10), webrtc: heard(500, { concealedMs: 160 }) }, 'websocket');
  // A browser conceals the packets that nobody sends it, for as long as the track lives.
  sum.take({ websocket: heard(110, { concealedMs: 5 }), webrtc: heard(500, { concealedMs: 12_040 }) }, 'websocket');
  sum.take({ websocket: heard(110), webrtc: heard(501, { concealedMs: 12_200 }) }, 'webrtc');
  sum.take({ websocket: heard(110), webrtc: heard(551, { concealedMs: 12_220 }) }, 'webrtc');
  assert.equal(sum.report()?.concealed_ms, 40 + 5 + 20);
});

test('a connection made anew counts from zero', () => {
  const sum = new ReportSum();
  sum.take({ webrtc: heard(500, { lost: 10, concealedMs: 40 }) }, 'webrtc');
  sum.take({ webrtc: heard(20, { lost: 1, concealedMs: 5 }) }, 'webrtc');
  const report = sum.report();
  assert.deepEqual([report?.packets, report?.lost, report?.concealed_ms], [520, 11, 5]);
});

test('a packet that comes late after all takes nothing back', () => {
  const sum = new ReportSum();
  sum.take({ webrtc: heard(100, { lost: 5 }) }, 'webrtc');
  sum.take({ webrtc: heard(150, { lost: 4 }) }, 'webrtc');
  assert.equal(sum.report()?.lost, 5);
});

test('there is no report before something was heard by the path that is heard', () => {
  const sum = new ReportSum();
  assert.equal(sum.report(), undefined);
  sum.take({ websocket: heard(1) }, 'webrtc');
  assert.equal(sum.report(), undefined);
});

const reported = (path: 'webrtc' | 'websocket', now: Heard): ReturnType<ReportSum['report']> => {
  const sum = new ReportSum();
  sum.take({ [path]: now }, path);
  return sum.report();
};

test('what holds now is passed on, to a tenth', () => {
  const report = reported('webrtc', heard(1, { jitterMs: 3.14159, bufferMs: 41.27, roundTripMs: 20.04 }));
  assert.deepEqual([report?.jitter_ms, report?.buffer_ms, report?.rtt_ms], [3.1, 41.3, 20]);
  assert.equal(reported('websocket', heard(1))?.rtt_ms, null);
});

test('no figure is beyond what a report may say, for that would end the call', () => {
  for (const [said, told] of [[-450, 0], [NaN, 0], [Infinity, 600_000], [1e9, 600_000], [599_999.96, 600_000]]) {
    const report = reported('webrtc', heard(1, { jitterMs: said, bufferMs: said, roundTripMs: said }));
    assert.deepEqual([report?.jitter_ms, report?.buffer_ms, report?.rtt_ms], [told, told, told], `${said}`);
  }
});
