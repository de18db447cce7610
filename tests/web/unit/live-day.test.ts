/** The last day: a value a minute of each figure, and a gap where none was written. */

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Minute } from '../../../web/src/live/contract';
import { dayOf } from '../../../web/src/live/day';
import { figures } from '../../../web/src/live/figures';

function minute(which: number, calls: number): Minute {
  const at = new Date(Date.UTC(2026, 2, 1, 12, which)).toISOString();
  const nothing = { asr_percent: null, acd_s: null, pdd_ms: null, rtt_p95_ms: null, mos: null, talk_percent: null };
  return { at, calls, begun: calls * 2, spend_micros_per_minute: { USD: 3_000_000 }, ...nothing };
}

test('each figure has its value of each minute', () => {
  const day = dayOf([minute(0, 5), minute(1, 7)]);
  assert.deepEqual(day.at.map((at) => at % 3600), [0, 60]);
  assert.deepEqual(day.values.slice(0, 4), [[5, 7], [10, 14], [3, 3], [null, null]]);
  assert.equal(day.values.length, figures.length);
});

test('a minute that nobody wrote is a gap', () => {
  assert.deepEqual(dayOf([minute(0, 5), minute(3, 7)]).values[0], [5, null, 7]);
});

test('of nothing there is nothing', () => {
  assert.deepEqual(dayOf([]).at, []);
});
