/** Amounts as people write them. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { decimalText, fieldText, minorDigits, parseAmount } from '../../../web/src/amount';

const AMOUNTS: [written: string, language: string, digits: number, micros: number | undefined][] = [
  ['25', 'en-US', 2, 25_000_000],
  ['25.00', 'en-US', 2, 25_000_000],
  ['$25.5', 'en-US', 2, 25_500_000],
  ['25,00', 'en-US', 2, 25_000_000],
  ['1,234.56', 'en-US', 2, 1_234_560_000],
  ['1,234', 'en-US', 2, 1_234_000_000],
  ['1,234', 'de-DE', 2, undefined],
  ['1.234', 'en-US', 2, undefined],
  ['1.234', 'de-DE', 2, 1_234_000_000],
  ['1.234,5', 'de-DE', 2, 1_234_500_000],
  ['12,34 €', 'de-DE', 2, 12_340_000],
  ['12.34', 'de-DE', 2, 12_340_000],
  ['1\u202f234,50 €', 'fr-FR', 2, 1_234_500_000],
  ['1’234.50', 'de-CH', 2, 1_234_500_000],
  ['２５', 'ja-JP', 0, 25_000_000],
  ['¥1,500', 'ja-JP', 0, 1_500_000_000],
  ['15.5', 'ja-JP', 0, undefined],
  ['1.234', 'en-US', 3, 1_234_000],
  ['0.01', 'en-US', 2, 10_000],
  ['999999999', 'en-US', 2, 999_999_999_000_000],
  ['9999999999', 'en-US', 2, undefined],
  ['', 'en-US', 2, undefined],
  ['.', 'en-US', 2, undefined],
  ['-5', 'en-US', 2, undefined],
  ['1e5', 'en-US', 2, undefined],
  ['1.2.3', 'en-US', 2, undefined],
  ['12,34,56', 'en-US', 2, undefined],
  ['25.001', 'en-US', 2, undefined],
];

for (const [written, language, digits, micros] of AMOUNTS) {
  test(`${JSON.stringify(written)} in ${language} with ${digits} digits is ${micros}`, () => {
    assert.equal(parseAmount(written, digits, language), micros);
  });
}

test('what is written into a field is read as the same amount', () => {
  for (const [currency, micros] of [['USD', 25_500_000], ['JPY', 7_000_000], ['KWD', 1_234_000]] as const) {
    const digits = minorDigits(currency);
    for (const language of ['en-US', 'de-DE', 'fr-FR']) {
      assert.equal(parseAmount(fieldText(micros, digits, language), digits, language), micros);
    }
  }
  assert.equal(fieldText(25_500_000, 2, 'de-DE'), '25,50');
});

test('the gateway gets a point in every language', () => {
  assert.deepEqual([decimalText(25_000_000, 2), decimalText(7_000_000, 0), decimalText(10_000, 2)], ['25.00', '7', '0.01']);
});
