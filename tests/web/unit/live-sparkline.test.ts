/** Lines beside figures: what is unknown is a gap, and what never changes lies in the middle. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timeline } from '../../../web/src/live/board';
import { pointsOf } from '../../../web/src/live/sparkline-points';

function timeline(values: (number | null)[]): Timeline {
  const found = new Timeline(1, 600);
  values.forEach((value, second) => found.push(second * 1000, [value]));
  return found;
}

test('the least is at the bottom, the most at the top, and time runs over the whole width', () => {
  assert.deepEqual(pointsOf(timeline([1, 3, 2]), 0), ['0.0,30.0 300.0,0.0 600.0,15.0']);
});

test('what never changes lies in the middle', () => {
  assert.deepEqual(pointsOf(timeline([7, 7]), 0), ['0.0,15.0 600.0,15.0']);
});

test('what is unknown is a gap', () => {
  assert.deepEqual(pointsOf(timeline([1, 2, null, 2, 1]), 0), ['0.0,30.0 150.0,0.0', '450.0,0.0 600.0,30.0']);
});

test('one point is no line, nor is nothing', () => {
  for (const values of [[], [1], [null], [1, null, 2], [null, null]]) assert.deepEqual(pointsOf(timeline(values), 0), []);
});
