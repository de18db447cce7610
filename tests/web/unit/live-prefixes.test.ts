/** In which order countries and prefixes stand, and what of a country its shown prefixes leave. */

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Country, Health, Prefix } from '../../../web/src/live/contract';
import { byFigure, restOf } from '../../../web/src/live/prefixes';
import type { Column } from '../../../web/src/live/prefixes';

const HEALTH: Health = { calls: 2, attempts: 40, asr_percent: 60, pdd_ms: 2000, mos: 4.1, failed: 3 };

const part = (prefix: string, differs: Partial<Health> = {}): Prefix => ({ ...HEALTH, ...differs, prefix });

const land = (prefixes: Prefix[], differs: Partial<Health> = {}): Country => ({ ...HEALTH, ...differs, country: 'DE', prefixes });

const ROWS = [part('+4930', { mos: null }), part('+4915', { calls: 9, mos: 3.1 }), part('+4989', { mos: 4.2, attempts: 41 })];

for (const [column, descending, order] of [
  ['country', false, ['+4915', '+4930', '+4989']],
  ['calls', true, ['+4915', '+4930', '+4989']],
  ['attempts', true, ['+4989', '+4930', '+4915']],
  ['mos', false, ['+4930', '+4915', '+4989']],
  ['failed', true, ['+4930', '+4915', '+4989']],
] as [Column, boolean, string[]][]) {
  test(`rows by ${column}, ${descending ? 'most' : 'least'} first`, () => {
    const before = structuredClone(ROWS);
    assert.deepEqual(
      byFigure(ROWS, column, descending, (row) => row.prefix).map(({ prefix }) => prefix),
      order,
    );
    assert.deepEqual(ROWS, before);
  });
}

test('what no shown prefix has is the rest, of which only counts are known', () => {
  const unknown = { asr_percent: null, pdd_ms: null, mos: null };
  const whole = land([part('+4915'), part('+4930')], { calls: 5, attempts: 100, failed: 6 });
  assert.deepEqual(restOf(whole), { calls: 1, attempts: 20, failed: 0, ...unknown });
  assert.deepEqual(restOf(land([])), { calls: 2, attempts: 40, failed: 3, ...unknown });
});

test('prefixes that have all calls of their country leave nothing', () => {
  assert.equal(restOf(land([part('+49')])), undefined);
  assert.equal(restOf(land([], { calls: 0, attempts: 0, failed: 0 })), undefined);
});
