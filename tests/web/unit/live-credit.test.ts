/** How long the credit of accounts with live calls lasts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leftOf, levelOf } from '../../../web/src/live/credit-left';
import type { CreditReport } from '../../../web/src/live/report-contract';
import { NOW_MS, at, row } from './live-rows';

function report(balances: Record<string, number>, seconds = 0): CreditReport {
  const money = (micros: number) => ({ micros, currency: 'EUR' });
  const accounts = Object.entries(balances).map(([account_id, micros]) => {
    return { account_id, calls: 1, per_minute: money(1), balance: money(micros), lasts_s: 1 };
  });
  return { at: at(seconds), accounts, accounts_total: accounts.length, cut_off: [], cut_off_total: 0 };
}

const lasts = (...of: Parameters<typeof leftOf>): [string, number | null][] => leftOf(...of).map((left) => [left.account_id, left.lastsS]);

test('calls of an account use its credit up together, and the least comes first', () => {
  const rows = [row('1', { account_id: 'a' }), row('2', { account_id: 'b' }), row('3', { account_id: 'b', state: 'held' })];
  const [b, a] = leftOf(rows, report({ a: 52_000, b: 52_000 }), NOW_MS);
  assert.deepEqual([a.account_id, a.lastsS, a.calls, a.currency], ['a', 240, 1, 'EUR']);
  assert.deepEqual([b.account_id, b.lastsS, b.calls, b.perMinuteMicros], ['b', 120, 2, 26_000]);
});

test('since the credit was read it has been spent on, and a debt lasts no time', () => {
  const rows = [row('1', { account_id: 'a' }), row('2', { account_id: 'b' })];
  assert.deepEqual(lasts(rows, report({ a: 52_000, b: -9 }, -200), NOW_MS), [['b', 0], ['a', 40]]);
  assert.deepEqual(lasts(rows, report({ a: 52_000, b: -9 }, -300), NOW_MS), [['a', 0], ['b', 0]]);
  // The clocks differ by a little.
  assert.deepEqual(lasts([rows[0]], report({ a: 52_000 }, 3), NOW_MS), [['a', 240]]);
});

test('what nobody knows, or spends nothing, comes last: who spends most before the others', () => {
  const rows = [
    row('1', { account_id: 'rings', state: 'ringing' }),
    row('2', { account_id: 'unknown' }),
    row('3', { account_id: 'known' }),
    row('4', { account_id: 'over', state: 'ended' }),
    row('5', { account_id: 'lost', state: 'lost' }),
  ];
  const found = leftOf(rows, report({ known: 9e12, rings: 5, gone: 5 }), NOW_MS);
  assert.deepEqual(found.map((left) => left.account_id), ['known', 'unknown', 'rings']);
  assert.deepEqual([found[1].balanceMicros, found[2].balanceMicros, found[2].lastsS], [null, 5, null]);
  assert.deepEqual(lasts(rows, undefined, NOW_MS), [['known', null], ['unknown', null], ['rings', null]]);
});

test('marks stand where little is left', () => {
  assert.deepEqual([0, 59, 60, 299, 300].map(levelOf), ['poor', 'poor', 'fair', 'fair', undefined]);
});
