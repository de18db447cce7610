/** What is reported of the phone's voice, whichever way it took. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { ReportSum } from '../../../web/src/sdk/call/report';
import type { Heard } from '../../../web/src/sdk/call/report';

const heard = (packets: number, more: Partial<Heard> = {}): Heard => {
  return { packets, lost: 0, concealedMs: 0, jitterMs: 0, bufferMs: 0, roundTripMs: null, ...more };
};

test('counts run on when the audio moves, there and back', () => {
  const sum = new ReportSum();
  assert.equal(sum.add('websocket', heard(100)).packets, 100);
  assert.equal(sum.add('webrtc', heard(50, { lost: 2 })).packets, 150);
  assert.equal(sum.add('webrtc', heard(100, { lost: 3 })).lost, 3);
  assert.equal(sum.add('websocket', heard(120)).packets, 220);
});

test('what a path counts while the other one is heard is not reported', () => {
  const sum = new ReportSum();
  sum.add('webrtc', heard(500, { lost: 3, concealedMs: 40 }));
  sum.add('websocket', heard(10));
  // A browser conceals the packets that nobody sends it, for as long as the track lives.
  sum.ignore('webrtc', heard(500, { lost: 3, concealedMs: 12_040 }));
  const report = sum.add('webrtc', heard(550, { lost: 4, concealedMs: 12_060 }));
  assert.deepEqual([report.packets, report.lost, report.concealed_ms], [560, 4, 60]);
});

test('a connection made anew counts from zero', () => {
  const sum = new ReportSum();
  sum.add('webrtc', heard(500, { lost: 10, concealedMs: 40 }));
  const report = sum.add('webrtc', heard(20, { lost: 1, concealedMs: 5 }));
  assert.deepEqual([report.packets, report.lost, report.concealed_ms], [520, 11, 45]);
});

test('a packet that comes late after all takes nothing back', () => {
  const sum = new ReportSum();
  sum.add('webrtc', heard(100, { lost: 5 }));
  assert.equal(sum.add('webrtc', heard(150, { lost: 4 })).lost, 5);
});

test('what holds now is passed on, to a tenth', () => {
  const report = new ReportSum().add('webrtc', heard(1, { jitterMs: 3.14159, bufferMs: 41.27, roundTripMs: 20.04 }));
  assert.deepEqual([report.jitter_ms, report.buffer_ms, report.rtt_ms], [3.1, 41.3, 20]);
  assert.equal(new ReportSum().add('websocket', heard(1)).rtt_ms, null);
});

test('no figure is beyond what a report may say, for that would end the call', () => {
  for (const [said, told] of [[-450, 0], [NaN, 0], [Infinity, 600_000], [1e9, 600_000], [599_999.96, 600_000]]) {
    const report = new ReportSum().add('webrtc', heard(1, { jitterMs: said, bufferMs: said, roundTripMs: said }));
    assert.deepEqual([report.jitter_ms, report.buffer_ms, report.rtt_ms], [told, told, told], `${said}`);
  }
});
