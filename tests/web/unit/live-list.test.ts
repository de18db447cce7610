/** Which calls the table shows, in which order, and what it says of each. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { NEWEST, PAGE_ROWS, choose, costOf, isLong, levelOf, secondsOf } from '../../../web/src/live/call-list';
import type { Column, Query } from '../../../web/src/live/call-list';
import type { Row } from '../../../web/src/live/contract';
import { routeOf } from '../../../web/src/live/route';
import { NOW_MS, at, row } from './live-rows';

const chosen = (rows: Row[], query: Partial<Query>): string[] => {
  return choose(rows, { ...NEWEST, ...query }, NOW_MS, 1).rows.map(({ id }) => id);
};

const ROWS = [
  row('a', { destination: '+442079460018', country: 'GB', account_id: 'acc_x', mos: null, created_at: at(-3) }),
  row('b', { node: 'node-b', mos: 3.1, tags: ['high_jitter'], created_at: at(-2) }),
  row('c', { state: 'ringing', answered_at: null, mos: 4.2, created_at: at(-1) }),
];

for (const [query, ids] of [
  [{}, 'cba'],
  [{ descending: false }, 'abc'],
  [{ column: 'mos' }, 'cba'],
  [{ column: 'mos', descending: false }, 'bca'],
  [{ column: 'country', descending: false }, 'abc'],
  [{ state: 'ringing' }, 'c'],
  [{ state: 'long' }, 'ba'],
  [{ state: 'long', tag: 'high_jitter' }, 'b'],
  [{ tag: 'high_jitter' }, 'b'],
  [{ text: ' NODE-B ' }, 'b'],
  [{ text: 'acc_x' }, 'a'],
  [{ text: 'kingdom' }, 'a'],
  [{ text: '+44 (20) 7946' }, 'a'],
  [{ text: '415-555' }, 'cb'],
  [{ text: 'nobody' }, ''],
  [{ text: 'node-a', state: 'answered' }, 'a'],
] as [Partial<Query>, string][]) {
  test(`${JSON.stringify(query)} shows ${ids || 'nothing'}`, () => {
    assert.equal(chosen(ROWS, query).join(''), ids);
  });
}

test('calls that began within one second are in the order of their beginnings', () => {
  const began = ['11:00:00Z', '11:00:00.250Z', '11:00:00.5Z'].map((time) => `2026-11-20T${time}`);
  const rows = began.map((created_at, which) => row(String(which), { created_at }));
  assert.equal(chosen(rows, {}).join(''), '210');
});

test('only calls that have lasted so long are long calls', () => {
  const rows = [row('a', { answered_at: at(-1800) }), row('b', { answered_at: at(-1799) })];
  assert.deepEqual(choose(rows, { ...NEWEST, state: 'long' }, NOW_MS, 30).rows.map(({ id }) => id), ['a']);
});

test('every page of every order is what sorting all would give', () => {
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const rows = Array.from({ length: 330 }, (_, which) => row(`c${which}`, { mos: random() < 0.1 ? null : Math.round(random() * 40) / 10 }));
  for (const descending of [false, true]) {
    const none = descending ? -1 : 99;
    const sorted = [...rows].sort((a, b) => ((a.mos ?? none) - (b.mos ?? none)) * (descending ? -1 : 1)).map(({ id }) => id);
    for (let page = 0; page * PAGE_ROWS < rows.length; page++) {
      const expected = sorted.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
      assert.deepEqual(chosen(rows, { column: 'mos', descending, page }), expected);
    }
  }
});

test('a page beyond the last is the last', () => {
  const rows = Array.from({ length: 60 }, (_, which) => row(`c${which}`));
  const { page, pages, total, rows: shown } = choose(rows, { ...NEWEST, page: 9 }, NOW_MS, 60);
  assert.deepEqual([page, pages, total, shown.length], [1, 2, 60, 10]);
  assert.equal(choose([], NEWEST, NOW_MS, 60).pages, 1);
});

test('every column sorts', () => {
  for (const column of ['state', 'destination', 'account_id', 'node', 'seconds', 'cost_micros', 'rtt_ms', 'loss_percent', 'jitter_ms', 'tags', 'path'] as Column[]) {
    assert.equal(chosen(ROWS, { column }).length, 3, column);
  }
});

test('a duration runs from the answer to the end', () => {
  assert.equal(secondsOf(row('a'), NOW_MS + 4999), 64);
  assert.equal(secondsOf(row('a', { answered_at: null }), NOW_MS), undefined);
  assert.equal(secondsOf(row('a', { state: 'ended', ended_at: at(-20) }), NOW_MS), 40);
  assert.equal(secondsOf(row('a', { state: 'lost', seconds: 12 }), NOW_MS), 12);
  assert.equal(secondsOf(row('a', { answered_at: at(9) }), NOW_MS), 0);
});

test('the cost of what goes on is estimated from the last charge, and what is over costs what it cost', () => {
  assert.deepEqual(costOf(row('a'), NOW_MS), { micros: 13_000, isEstimated: false });
  assert.deepEqual(costOf(row('a'), NOW_MS + 30_000), { micros: 19_500, isEstimated: true });
  const over = row('a', { state: 'ended', ended_at: at(30) });
  assert.deepEqual(costOf(over, NOW_MS + 60_000), { micros: 13_000, isEstimated: false });
  assert.deepEqual(costOf(row('a', { per_minute_micros: 0 }), NOW_MS + 9000), { micros: 13_000, isEstimated: false });
});

test('a long call is one that goes on', () => {
  assert.equal(isLong(row('a'), NOW_MS, 1), true);
  assert.equal(isLong(row('a'), NOW_MS - 1000, 1), false);
  assert.equal(isLong(row('a', { state: 'ended' }), NOW_MS, 1), false);
});

test('quality is told in three steps', () => {
  assert.deepEqual([4.2, 3.8, 3].map((mos) => levelOf('mos', mos)), ['good', 'fair', 'poor']);
  assert.deepEqual([20, 350, 500].map((rtt) => levelOf('rtt_ms', rtt)), ['good', 'fair', 'poor']);
  assert.equal(levelOf('loss_percent', null), undefined);
});

for (const [search, hash, view, callId, longMinutes] of [
  ['', '', 'overview', '', 60],
  ['', '#/', 'overview', '', 60],
  ['', '#/calls', 'calls', '', 60],
  ['', '#/calls?long=5', 'calls', '', 5],
  ['', '#/calls?long=0', 'calls', '', 60],
  ['', '#/call/a%2Fb', 'call', 'a/b', 60],
  ['', '#/call/%', 'call', '%', 60],
  ['', '#/call/', 'overview', '', 60],
  ['', '#/nodes', 'nodes', '', 60],
  ['', '#/fraud', 'fraud', '', 60],
  ['', '#/credit', 'credit', '', 60],
  ['', '#/wall', 'wall', '', 60],
  ['?wall', '#/calls', 'wall', '', 60],
  ['', '#/elsewhere', 'overview', '', 60],
] as const) {
  test(`${search}${hash} shows ${view}`, () => {
    assert.deepEqual(routeOf(search, hash), { view, callId, longMinutes });
  });
}
