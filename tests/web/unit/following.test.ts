/** When the account is read again: soon, now and then, less often where that fails, and never too often. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { pauseAfter } from '../../../web/src/following';

test('a call that goes on is read sooner than none', () => {
  assert.equal(pauseAfter(true, 0), 2000);
  assert.equal(pauseAfter(false, 0), 10_000);
});

test('failures are tried again less and less often', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 50].map((failures) => pauseAfter(true, failures)),
    [2000, 4000, 8000, 16_000, 30_000, 30_000],
  );
});
