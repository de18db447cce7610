/** When a lost socket is tried again, and how long. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Absence, isKept } from '../../../web/src/sdk/call/resumption';

test('pauses grow from a third of a second and stop growing', () => {
  const absence = new Absence(1000, 60_000);
  assert.deepEqual(
    Array.from({ length: 6 }, () => absence.next(1000)),
    [300, 600, 1200, 2500, 2500, 2500],
  );
});

test('no attempt comes after the gateway has let the phone go, which it may see ten seconds late', () => {
  const absence = new Absence(1000, 15_000);
  assert.equal(absence.next(25_600), 300);
  assert.equal(absence.next(25_700), undefined);
});

test('another network is tried fast again', () => {
  const absence = new Absence(0, 15_000);
  for (let i = 0; i < 4; i++) absence.next(0);
  absence.restart();
  assert.equal(absence.next(0), 300);
});

test('only a network, or a node that is being moved, keeps the call', () => {
  assert.deepEqual([1001, 1006, 1012, 1013].map(isKept), [true, true, true, true]);
  assert.deepEqual([1000, 1002, 1008, 1011, 4400].map(isKept), [false, false, false, false, false]);
});
