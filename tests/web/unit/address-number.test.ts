/** Numbers that links bring, and the addresses that are left. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { takeOut } from '../../../web/src/installed/address-number';

const PHONE = 'https://phone.example/';

const BROUGHT: [address: string, number: string, rest: string][] = [
  ['#to=%2B15005551000', '+15005551000', ''],
  ['#to=+15005551000', '+15005551000', ''],
  ['#to=tel%3A%2B15005551000', 'tel:+15005551000', ''],
  ['#to=tel:+15005551000', 'tel:+15005551000', ''],
  ['#to=500-555-1000', '500-555-1000', ''],
  ['?to=+15005551000', '+15005551000', ''],
  ['?to=%2B15005551000&top-up=pay_1', '+15005551000', '?top-up=pay_1'],
  ['?to=%2B1#to=%2B2', '+2', ''],
  ['#key=ck_1&to=%2B15005551000', '+15005551000', '#key=ck_1'],
  ['#to=', '', ''],
  [`#to=${'1'.repeat(65)}`, '', ''],
];

for (const [address, number, rest] of BROUGHT) {
  test(`${address.slice(0, 50)} brings ${number || 'nothing'}`, () => {
    assert.deepEqual(takeOut(PHONE + address), { number, rest: PHONE + rest });
  });
}

test('an address without a number is left alone', () => {
  for (const address of ['', '#key=ck_1', '?top-up=pay_1', '#total=1', '?goto=1', '#']) {
    assert.equal(takeOut(PHONE + address), undefined, address);
  }
});
