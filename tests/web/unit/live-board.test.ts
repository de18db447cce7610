/** The board: what the feed's events come to. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Board, SAMPLED, SAMPLES_MAX, TOTALS_MAX, Timeline, WARNINGS_MAX } from '../../../web/src/live/board';
import type { Alarm, FleetNode, Sample, Warning } from '../../../web/src/live/contract';
import { NOW_MS, at, news, row, totals } from './live-rows';

const ids = (board: Board): string[] => [...board.rows.keys()];

function snapshot(...calls: string[]): Board {
  const board = new Board();
  board.take('snapshot', news({ audience: 'all', calls: calls.map((id) => row(id)), nodes: [], warnings: [], samples: [] }), NOW_MS);
  return board;
}

const sample = (seconds: number, mos = 4): Sample => ({
  at: at(seconds),
  mos,
  rtt_ms: 80,
  jitter_ms: 3,
  loss_percent: 0,
  caller_dbov: -20,
  phone_dbov: -30,
  backlog_ms: 20,
  seconds,
  cost_micros: 217 * seconds,
});

test('a snapshot replaces all that is shown', () => {
  const board = snapshot('a', 'b');
  board.take('delta', news({ warnings: [{ at: at(0), node: 'n', level: 'error', event: 'e', call_id: null }] }), NOW_MS);
  board.take('snapshot', news({ audience: 'all', calls: [row('c')] }), NOW_MS);
  assert.deepEqual(ids(board), ['c']);
  assert.deepEqual(board.warnings, []);
});

test('a delta brings whole rows and takes away what is gone', () => {
  const board = snapshot('a', 'b');
  board.take('delta', news({ calls: [row('b', { state: 'ended' }), row('c')], gone: ['a', 'unknown'] }), NOW_MS);
  assert.deepEqual(ids(board), ['b', 'c']);
  assert.equal(board.rows.get('b')?.state, 'ended');
});

test('a delta leaves what it does not speak of', () => {
  const board = snapshot('a');
  const node = { node: 'n', calls: 1, calls_max: 9, is_draining: false, lag_ms: 1, release: '1', started_at: at(-9), is_lost: false, log_level: 'info', log_level_until: null };
  board.take('delta', news({ nodes: [node], totals: totals(1) }), NOW_MS);
  board.take('delta', news(), NOW_MS);
  assert.deepEqual(board.nodes, [node]);
  assert.equal(board.totals?.calls, 1);
  assert.deepEqual(ids(board), ['a']);
});

const alarm = (name: string, state: Alarm['state']): Alarm => {
  const what = { name, rule: 'node_lost', subject: name, title: `${name} is gone.`, action: 'Look.', value: 1, unit: '' };
  return { ...what, since: at(0), state, by: '', reason: '', until: null };
};

test('alarms are whole each time, and those that nobody is at are counted', () => {
  const board = snapshot('a');
  board.take('delta', news({ alarms: [alarm('n1', 'raised'), alarm('n2', 'acknowledged'), alarm('n3', 'silenced')] }), NOW_MS);
  board.take('delta', news({ nodes: [] }), NOW_MS);
  assert.equal(board.alarms.length, 3);
  assert.equal(board.raised, 1);
  board.take('delta', news({ alarms: [] }), NOW_MS);
  assert.deepEqual(board.alarms, []);
});

test('an event of another kind is nothing', () => {
  const board = snapshot('a');
  board.take('greeting', news({ gone: ['a'] }), NOW_MS + 5000);
  assert.deepEqual(ids(board), ['a']);
  assert.equal(board.heardMs, NOW_MS);
});

test('what goes on after a connection that broke is taken as if it had not', () => {
  const board = snapshot('a');
  board.take('delta', news({ at: at(30), calls: [row('b')] }), NOW_MS + 30_000);
  assert.deepEqual(ids(board), ['a', 'b']);
});

test("the server's clock is that of the snapshot, and late events do not move it", () => {
  const board = new Board();
  board.take('snapshot', news({ at: at(100) }), NOW_MS);
  assert.equal(board.aheadMs, 100_000);
  board.take('delta', news({ at: at(101) }), NOW_MS + 4000);
  assert.equal(board.aheadMs, 100_000);
});

test('without a connection the time shown is that of what is shown', () => {
  const board = new Board();
  board.take('snapshot', news({ at: at(100) }), NOW_MS);
  assert.equal(board.timeMs(NOW_MS + 7000, true), NOW_MS + 107_000);
  assert.equal(board.timeMs(NOW_MS + 7000, false), NOW_MS + 100_000);
});

test('rows that change are counted', () => {
  const board = snapshot('a');
  const before = board.changes;
  board.take('delta', news({ calls: [row('a'), row('b')], gone: ['a'] }), NOW_MS);
  assert.equal(board.changes - before, 3);
});

test('what is held still does not change', () => {
  const board = snapshot('a');
  board.take('delta', news({ totals: totals(1) }), NOW_MS);
  const held = board.copy();
  board.take('delta', news({ at: at(1), calls: [row('b')], gone: ['a'], totals: totals(2), samples: [sample(1)] }), NOW_MS);
  assert.deepEqual(ids(held), ['a']);
  assert.equal(held.totals?.calls, 1);
  assert.equal(held.history.at.length, 1);
  assert.equal(held.samples.at.length, 0);
});

test('totals are kept by the second, and the oldest go', () => {
  const board = snapshot();
  for (let second = 0; second < TOTALS_MAX + 50; second++) {
    board.take('delta', news({ at: at(second), totals: totals(second) }), NOW_MS);
    board.take('delta', news({ at: at(second + 0.5), totals: totals(second) }), NOW_MS);
  }
  assert.equal(board.history.at.length, TOTALS_MAX);
  assert.deepEqual(board.history.values[0].slice(-2), [TOTALS_MAX + 48, TOTALS_MAX + 49]);
});

test('totals that stay the same are not told, and their line goes on', () => {
  const board = snapshot();
  for (const [second, calls] of [[0, 1], [1, 2], [2, 3], [40, 9]]) board.take('delta', news({ at: at(second), totals: totals(calls) }), NOW_MS);
  assert.deepEqual(board.history.values[0], [1, 2, 3, 3, 9]);
  const begin = board.history.at[0];
  assert.deepEqual(board.history.at.map((second) => second - begin), [0, 1, 2, 39, 40]);
  // Behind another snapshot nobody knows what was between.
  board.take('snapshot', news({ audience: 'all', at: at(80), totals: totals(7) }), NOW_MS);
  assert.deepEqual(board.history.values[0].slice(-3), [9, null, 7]);
});

test('across a time of which nothing was heard no line is drawn', () => {
  const timeline = new Timeline(1, 100);
  for (const second of [0, 1, 6, 30]) timeline.push(second * 1000 + 1_000_000, [second]);
  assert.deepEqual(timeline.values, [[0, 1, 6, null, 30]]);
  assert.deepEqual(timeline.at, [1000, 1001, 1006, 1007, 1030]);
});

test('a clock that is set back replaces the last second', () => {
  const timeline = new Timeline(1, 100);
  for (const second of [5, 4, 3]) timeline.push(second * 1000, [second]);
  assert.deepEqual([timeline.at, timeline.values], [[5], [[3]]]);
});

test('warnings are the newest', () => {
  const board = snapshot();
  const warning = (which: number): Warning => ({ at: at(which), node: 'n', level: 'warning', event: String(which), call_id: null });
  for (let which = 0; which < 300; which++) board.take('delta', news({ warnings: [warning(which)] }), NOW_MS);
  assert.equal(board.warnings.length, WARNINGS_MAX);
  assert.equal(board.warnings.at(-1)?.event, '299');
  assert.equal(board.warnings[0].event, String(300 - WARNINGS_MAX));
});

test("one call's samples go on across snapshots, which say the last again", () => {
  const board = new Board();
  board.take('snapshot', news({ audience: 'call', calls: [row('a')], samples: [sample(0), sample(1)] }), NOW_MS);
  board.take('delta', news({ samples: [sample(2)] }), NOW_MS);
  board.take('snapshot', news({ audience: 'call', calls: [row('a')], samples: [sample(1, 1), sample(2, 1), sample(3)] }), NOW_MS);
  assert.equal(board.samples.at.length, 4);
  assert.deepEqual(board.samples.values[SAMPLED.indexOf('mos')], [4, 4, 4, 4]);
});

test("one call's samples are bounded", () => {
  const board = new Board();
  for (let second = 0; second < SAMPLES_MAX + 5; second++) board.take('delta', news({ samples: [sample(second)] }), NOW_MS);
  assert.equal(board.samples.at.length, SAMPLES_MAX);
});

test('one call stays as it ended', () => {
  const board = new Board();
  const ended = row('a', { state: 'ended' });
  board.take('snapshot', news({ audience: 'call', calls: [row('a')] }), NOW_MS);
  board.take('delta', news({ calls: [ended] }), NOW_MS);
  board.take('delta', news({ gone: ['a'] }), NOW_MS);
  board.take('snapshot', news({ audience: 'call', calls: [] }), NOW_MS);
  assert.deepEqual([...board.rows.values()], [ended]);
});

test('what a node was told counts at once, and against a feed that does not know it yet', () => {
  const facts = { calls: 3, calls_max: 100, is_draining: false, lag_ms: 2, release: '1.0', started_at: at(-9), is_lost: false };
  const nodes: FleetNode[] = ['a', 'b'].map((node) => ({ node, ...facts, log_level: 'info', log_level_until: null }));
  const board = new Board();
  const draining = (): string[] => board.nodes.filter((each) => each.is_draining).map(({ node }) => node);
  board.take('snapshot', news({ nodes }), NOW_MS);
  const held = board.copy();
  board.tell('a', true, NOW_MS);
  assert.deepEqual(draining(), ['a']);
  assert.deepEqual(held.nodes, nodes, 'what is held still stays');
  board.take('delta', news({ nodes: nodes.map((each) => ({ ...each, calls: 4 })) }), NOW_MS + 3000);
  assert.deepEqual(draining(), ['a']);
  assert.deepEqual(board.nodes.map(({ calls }) => calls), [4, 4]);
  board.tell('a', false, NOW_MS + 3500);
  board.tell('b', true, NOW_MS + 3500);
  assert.deepEqual(draining(), ['b']);
  // Somebody else has told it otherwise since.
  board.take('delta', news({ nodes }), NOW_MS + 8500);
  assert.deepEqual(draining(), []);
});
