/** What keys do in the phone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actOf } from '../../../web/src/ui/keys';

const plain = { ctrlKey: false, shiftKey: false, altKey: false, metaKey: false, repeat: false };

test('in a call letters work its controls and digits reach the phone', () => {
  assert.equal(actOf({ ...plain, key: 'm' }, 'live'), 'mute');
  assert.equal(actOf({ ...plain, key: 'M', shiftKey: true }, 'live'), 'mute');
  assert.equal(actOf({ ...plain, key: 'h' }, 'live'), 'hold');
  for (const digit of '0123456789*#') assert.deepEqual(actOf({ ...plain, key: digit }, 'live'), { digit });
  for (const key of ['w', 'A', 'Enter', 'Escape', ' ', '٣']) assert.equal(actOf({ ...plain, key }, 'live'), undefined);
});

test('no single key does anything to a call that is not live', () => {
  for (const phase of [undefined, 'connecting', 'ringing', 'ended'] as const) {
    for (const key of ['m', 'h', '5']) assert.equal(actOf({ ...plain, key }, phase), undefined);
  }
});

test('hanging up takes three keys, as long as there is a call', () => {
  const keys = { ...plain, key: 'H', ctrlKey: true, shiftKey: true };
  for (const phase of ['connecting', 'ringing', 'live'] as const) assert.equal(actOf(keys, phase), 'hangUp');
  for (const phase of [undefined, 'ended'] as const) assert.equal(actOf(keys, phase), undefined);
  assert.equal(actOf({ ...keys, shiftKey: false, key: 'h' }, 'live'), undefined);
  assert.equal(actOf({ ...keys, key: 'M' }, 'live'), undefined);
});

test('the help is there at any time', () => {
  for (const phase of [undefined, 'live'] as const) assert.equal(actOf({ ...plain, key: '?', shiftKey: true }, phase), 'help');
});

test('what a browser or a held key does is no wish of anybody', () => {
  for (const held of ['altKey', 'metaKey', 'repeat'] as const) {
    for (const key of ['m', '5', '?']) assert.equal(actOf({ ...plain, key, [held]: true }, 'live'), undefined);
  }
  assert.equal(actOf({ ...plain, key: 'm', ctrlKey: true }, 'live'), undefined);
});
