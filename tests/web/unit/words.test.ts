/** Words, amounts and times as a reader gets them. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { languages } from 'languages:../../../gateway/words/*/phone';
import { CallerError } from '../../../web/src/sdk/call/error';
import { addWords, clock, t } from '../../../web/src/i18n';
import { failureInWords, money, price, when } from '../../../web/src/i18n/figures';
import { causeInWords, endingInWords, seconds, warningInWords } from '../../../web/src/i18n/outcomes';
import { beside } from '../../../gateway/words/en/phone/beside';
import { keyForm } from '../../../gateway/words/en/phone/key-form';
import { phone } from '../../../gateway/words/en/phone/phone';
import { tools } from '../../../gateway/words/en/phone/tools';
import { topUp } from '../../../gateway/words/en/phone/top-up';
import { OWN_WORDS } from '../../../web/src/sdk/error-words';
import type { Money } from '../../../web/src/sdk/wire';
import { vectors } from './vectors';

const ENGLISH: Record<string, string>[] = [phone, beside, keyForm, tools, topUp];

/** The tables of all other languages. */
const OTHERS = await Promise.all(Object.values(languages).map(async (load) => (await load!()).words));

addWords(beside);

const usd = (micros: number): Money => ({ micros, currency: 'USD', text: '' });

test('what is paid or left is shown in whole minor units, and never as more than it is', () => {
  assert.deepEqual([0, 1_250_000, 4_999_783, 5e9].map(usd).map(money), ['$0.00', '$1.25', '$4.99', '$5,000.00']);
  assert.deepEqual([9_995_000, 10_000, -1, -10_000].map(usd).map(money), ['$9.99', '$0.01', '-$0.01', '-$0.01']);
  assert.equal(money({ micros: 7_000_000, currency: 'JPY', text: '' }), '¥7');
});

test('what calls cost always has two digits more', () => {
  assert.deepEqual([0, 13_000, 217, 1_250_000].map(usd).map(price), ['$0.0000', '$0.0130', '$0.0002', '$1.2500']);
  assert.equal(price({ micros: 7_000_000, currency: 'JPY', text: '' }), '¥7.00');
});

test('durations read like a clock', () => {
  assert.deepEqual([0, 7, 760, 3723].map(clock), ['0:00', '0:07', '12:40', '1:02:03']);
});

test('an instant of today is a time, an older one has its day', () => {
  const now = new Date('2026-11-24T12:00:00Z');
  assert.doesNotMatch(when('2026-11-24T11:00:00Z', now), /Nov/);
  assert.match(when('2026-11-20T11:00:00Z', now), /Nov 20/);
});

test('causes are words, also the unknown and the missing', () => {
  assert.deepEqual([16, 17, 999, null].map(causeInWords), ['Completed', 'Busy', 'Not connected', 'In progress']);
});

test('a failure says what happened and what to do', () => {
  assert.deepEqual(failureInWords(new CallerError('microphone_missing')), [
    'No microphone was found.',
    'Connect a microphone or headset, then call again.',
  ]);
  const refused = new CallerError('request_refused', { code: 'x', title: 'Not this number.', action: 'Try another.' });
  assert.deepEqual(failureInWords(refused), ['Not this number.', 'Try another.']);
});

test('a warning says what is wrong and what to do', () => {
  const [what, next] = warningInWords('high-jitter', 'The connection is uneven.');
  assert.equal(what, 'The connection is uneven.');
  assert.match(next, /Wi-Fi/);
  assert.match(warningInWords('no-audio-from-browser', '')[1], /switched on/);
  assert.match(warningInWords('no-audio-from-phone', '')[1], /hear you/);
  assert.deepEqual(warningInWords('of-another-day', 'Words.'), ['Words.', '']);
});

test('who ended a call is said', () => {
  const end = { call_id: 'c', cause: 16, name: 'NORMAL_CLEARING', message: 'The call has ended.', seconds: 1, cost: usd(1), action: '', cut_off: null };
  const said = (ended_by: string, cause = 16): string => endingInWords({ ...end, cause, ended_by })[0];
  globalThis.document ??= { documentElement: { lang: 'en' } } as Document;
  assert.deepEqual(['callee', 'caller', 'carrier'].map((by) => said(by)), ['The other side hung up.', 'You hung up.', 'The call has ended.']);
  assert.equal(said('callee', 17), 'The call has ended.');
  const messages = { en: 'All lines are in use.', de: 'Alle Leitungen sind belegt.' };
  assert.deepEqual(endingInWords({ ...end, cause: 34, ended_by: 'carrier', messages }), [messages.en, '']);
  assert.deepEqual([30, 1].map(seconds), ['30 seconds', '1 second']);
});

test('every failure has a next step in every language', () => {
  for (const table of [...ENGLISH, ...OTHERS]) {
    for (const key of Object.keys(table).filter((key) => /^(failure|problem)\.[^.]+$/.test(key))) {
      assert.ok(table[`${key}.next`], key);
    }
  }
});

test('whatever fails in the phone has words of its own', () => {
  // What only other pages can do wrong is told in the words of the SDK.
  const others = ['audio_processor_failed', 'already_in_call', 'token_missing', 'token_expired', 'token_unavailable', 'digits_invalid', 'policy_refused', 'file_missing'];
  for (const kind of Object.keys(OWN_WORDS)) assert.equal(`failure.${kind}` in beside, !others.includes(kind), kind);
});

test('texts of all languages take the same values', () => {
  const blanks = (text = ''): string => (text.match(/\{\w+\}/g) ?? []).sort().join();
  for (const table of OTHERS) {
    for (const part of ENGLISH) {
      for (const [key, text] of Object.entries(part)) assert.equal(blanks(table[key]), blanks(text), key);
    }
  }
});

test('what the gateway says in English is said in every other language', () => {
  assert.ok(OTHERS.length > 1);
  const english = new Set(ENGLISH.flatMap(Object.keys));
  const gateways = (table: object): string[] => Object.keys(table).filter((key) => !english.has(key)).sort();
  for (const table of OTHERS) assert.deepEqual(gateways(table), gateways(OTHERS[0]));
});

test('every cause of a call’s end has words', () => {
  for (const cause of vectors.causes) assert.ok(`cause.${cause}` in beside, String(cause));
});

test('a key says the same in every part of the table', () => {
  const table = Object.assign({}, ...ENGLISH) as Record<string, string>;
  for (const part of ENGLISH) {
    for (const [key, text] of Object.entries(part)) assert.equal(table[key], text, key);
  }
});

test('values go where their names stand', () => {
  assert.equal(t('willDial', { number: '+1' }), 'Will dial +1');
});
