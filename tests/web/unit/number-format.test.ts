/** Numbers while they are written: any order of keys, any format that is pasted. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countryOf, national, regionOf, shown, tidied } from '../../../web/src/number-format';

/** Type a text key by key at the end of the field. */
function typed(keys: string, region?: string): string {
  return [...keys].reduce((text, key) => {
    const now = { text: text + key, caret: text.length + 1 };
    const best = tidied(now, text, region);
    assert.equal(best.caret, best.text.length, `the caret stays at the end of ${best.text}`);
    return best.text;
  }, '');
}

/** Return a field as text with | for its caret. */
function field(marked: string): { text: string; caret: number } {
  return { text: marked.replace('|', ''), caret: marked.indexOf('|') };
}

function marked({ text, caret }: { text: string; caret: number }): string {
  return `${text.slice(0, caret)}|${text.slice(caret)}`;
}

test('a number is grouped as its country does while it is typed', () => {
  assert.equal(typed('+4930901820'), '+49 30 901820');
  assert.equal(typed('+442079460018'), '+44 20 7946 0018');
  assert.equal(typed('+15005551000'), '+1 500 555 1000');
  assert.equal(typed('030901820', 'DE'), '030 901820');
  assert.equal(typed('0612345678', 'FR'), '06 12 34 56 78');
  assert.equal(typed('4155552671', 'US'), '(415) 555-2671');
  assert.equal(typed('0049309018', 'DE'), '00 49 30 9018');
});

test('what could be of two countries is left as it is typed', () => {
  assert.equal(typed('4930901820', 'DE'), '4930901820');
  assert.equal(typed('4930901820'), '4930901820');
});

test('any format that is pasted is understood, and words are left alone', () => {
  const pasted = (text: string, region?: string): string => tidied({ text, caret: text.length }, '', region).text;
  assert.equal(pasted('+49.30/90-18 20'), '+49 30 901820');
  assert.equal(pasted('+44 (0)20 7946 0018'), '+44 20 7946 0018');
  assert.equal(pasted('(030) 901-820', 'DE'), '030 901820');
  for (const text of ['1-800-FLOWERS', 'tel:+49-30-901820', '+49 30 901820 ext 5', '４１５']) assert.equal(pasted(text, 'US'), text);
});

test('the caret stays between the digits where it was', () => {
  const now = (text: string, before = ''): string => marked(tidied(field(text), before));
  assert.equal(now('+49 3|09018'), '+49 3|0 9018');
  assert.equal(now('+49 305|9018', '+49 309018'), '+49 30 5|9018');
  assert.equal(now('|+49309018'), '|+49 30 9018');
  assert.equal(now('+44 (0)20| 7946'), '+44 20| 7946');
});

test('a key that takes away a space takes the digit beside it', () => {
  const back = tidied(field('+49|30 901820'), '+49 30 901820', undefined, 'back');
  assert.equal(back.text.replace(/\D/g, ''), '430901820');
  assert.equal(back.text.slice(0, back.caret), '+4');
  const forward = tidied(field('+49|30 901820'), '+49 30 901820', undefined, 'forward');
  assert.equal(forward.text.replace(/\D/g, ''), '490901820');
  const digit = tidied(field('+49 30 90182|'), '+49 30 901820', undefined, 'back');
  assert.equal(marked(digit), '+49 30 90182|');
});

test('after any key the digits are those that were typed', () => {
  for (const region of [undefined, 'DE', 'US', 'GB', 'IT', 'ES', 'RU', 'HU', 'BR', 'CN']) {
    for (const digits of ['+4930901820', '030901820', '4155552671', '+', '0', '+999123456', '8916123456', '1'.repeat(20)]) {
      for (let caret = 0; caret <= digits.length; caret++) {
        const best = tidied({ text: digits, caret }, '', region);
        assert.equal(best.text.replace(/[^\d+]/g, ''), digits);
        assert.equal(best.text.slice(0, best.caret).replace(/[^\d+]/g, ''), digits.slice(0, caret));
      }
    }
  }
});

test('a number as people of a country write it among themselves is the one they mean', () => {
  const of = (region: string, text: string): string | undefined => national(text, region);
  assert.equal(of('DE', '030 901820'), '+4930901820');
  assert.equal(of('GB', '020 7946 0018'), '+442079460018');
  assert.equal(of('FR', '06 12 34 56 78'), '+33612345678');
  assert.equal(of('US', '(415) 555-2671'), '+14155552671');
  assert.equal(of('US', '011 49 30 901820'), '+4930901820');
  assert.equal(of('ES', '612 345 678'), '+34612345678');
  assert.equal(of('IT', '02 6901 1123'), '+390269011123');
  assert.equal(of('IT', '333 123 4567'), '+393331234567');
  assert.equal(of('RU', '8 916 123-45-67'), '+79161234567');
  assert.equal(of('HU', '06 20 123 4567'), '+36201234567');
});

test('a number with its country code is not read as one of the reader’s country', () => {
  assert.equal(national('4930901820', 'DE'), undefined);
  assert.equal(national('+4930901820', 'US'), undefined);
  assert.equal(national('030 901820', undefined), undefined);
  assert.equal(national('030', 'DE'), undefined);
  assert.equal(national('', 'DE'), undefined);
});

test('the country is said as soon as its code is known', () => {
  assert.equal(countryOf('+49'), 'DE');
  assert.equal(countryOf('+4420'), 'GB');
  assert.equal(countryOf('+1'), 'US');
  assert.equal(countryOf('+16135550123'), 'CA');
  assert.equal(countryOf('+4'), undefined);
  assert.equal(countryOf('+999'), undefined);
  assert.equal(shown('+4930901820'), '+49 30 901820');
});

test('a reader’s region is that of the language, but for English, which is read everywhere', () => {
  assert.equal(regionOf('de-AT'), 'AT');
  assert.equal(regionOf('de'), 'DE');
  assert.equal(regionOf('en-GB'), 'GB');
  assert.equal(regionOf('en'), undefined);
  assert.equal(regionOf('es-419'), undefined);
});
