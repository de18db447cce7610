/** What people type and paste, and what it dials. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { dialled, grouped, isDiallable } from '../../../web/src/number';

const DIALS: [typed: string, language: string, number: string][] = [
  ['+1 500 555 1000', 'de-DE', '+15005551000'],
  ['+1 (500) 555-1000', 'en-GB', '+15005551000'],
  ['001 500.555.1000', 'en-GB', '+15005551000'],
  ['(500) 555-1000', 'en-US', '+15005551000'],
  ['1-500-555-1000', 'en-US', '+15005551000'],
  ['15005551000', 'fr', '+15005551000'],
  ['+44 (0)20 7946 0018', 'en-GB', '+442079460018'],
  ['tel:+44-20-7946-0018;ext=12', 'en', '+442079460018'],
  ['+442079460018 x12', 'en', '+442079460018'],
  ['+1 800 FLOWERS', 'en-US', '+18003569377'],
  ['＋４４２０７９４６００１８', 'ja', '+442079460018'],
  ['  +49\u00a030 1234\u20115678 ', 'de', '+493012345678'],
];

for (const [typed, language, number] of DIALS) {
  test(`${JSON.stringify(typed)} dials ${number}`, () => {
    assert.equal(dialled(typed, language), number);
    assert.ok(isDiallable(number));
  });
}

test('what cannot be dialled is known before the gateway is asked', () => {
  for (const typed of ['', '   ', '+', 'call me', '911', '+1 23', '+1234567890123456', '+0123456789']) {
    assert.equal(isDiallable(dialled(typed, 'en-US')), false, typed);
  }
});

test('numbers of the +1 plan are shown in groups, others as they are', () => {
  assert.equal(grouped('+15005551000'), '+1 500 555 1000');
  assert.equal(grouped('+442079460018'), '+442079460018');
});
