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

test('numbers are shown in groups, and dial the same', () => {
  const SHOWN: [number: string, shown: string][] = [
    ['+15005551000', '+1 500 555 1000'],
    ['+442079460018', '+44 20 7946 0018'],
    ['+493012345678', '+49 30 1234 5678'],
    ['+4930123456', '+49 3012 3456'],
    ['+35312345678', '+353 1234 5678'],
    ['+79161234567', '+7 91 6123 4567'],
    ['+999123456789012', '+999 1234 5678 9012'],
  ];
  for (const [number, shown] of SHOWN) {
    assert.equal(grouped(number), shown);
    assert.equal(dialled(shown), number);
  }
  assert.equal(grouped('+4420'), '+4420');
  assert.equal(grouped(''), '');
});
