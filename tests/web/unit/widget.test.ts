/** The pure parts of the button for other pages: digests, solutions, outcomes, words. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { languages } from 'languages:../../../gateway/words/*/widget';
import type { Ending } from '../../../web/src/sdk/core';
import { outcomeOf, toldIn } from '../../../web/src/widget/frame/outcome';
import { isLocal, mayTryAgain, problemOf, signedCodeOf } from '../../../web/src/widget/frame/problem';
import { find, payload } from '../../../web/src/widget/frame/proof';
import { digester } from '../../../web/src/widget/frame/sha256';
import { chooseLanguage } from '../../../web/src/widget/frame/words';
import { words as en } from '../../../gateway/words/en/widget';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hex = (words: Int32Array): string => [...words].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');

test('digests are those of SHA-256 at every length around a block, wherever the text is cut', () => {
  const text = Array.from({ length: 200 }, (_, i) => String.fromCharCode(33 + (i % 90))).join('');
  for (let length = 0; length <= text.length; length++) {
    const cut = (length * 7) % (length + 1);
    assert.equal(hex(digester(text.slice(0, cut))(text.slice(cut, length))), sha256(text.slice(0, length)), String(length));
  }
});

test('one digester serves many ends', () => {
  const digest = digester('salt?expires=1&');
  assert.equal(hex(digest('1')), sha256('salt?expires=1&1'));
  assert.equal(hex(digest('20')), sha256('salt?expires=1&20'));
});

const CHALLENGE = { algorithm: 'SHA-256', salt: 'abc?expires=9&', maxnumber: 50, signature: 'signed' };

test('the number is found from the first to the last', () => {
  for (const number of [0, 7, 50]) {
    assert.equal(find({ ...CHALLENGE, challenge: sha256(`abc?expires=9&${number}`) }), number);
  }
  assert.equal(find({ ...CHALLENGE, challenge: sha256('abc?expires=9&51') }), undefined);
});

test('the solution says all but how far was searched', () => {
  const said = JSON.parse(atob(payload({ ...CHALLENGE, challenge: 'c' }, 7)));
  assert.deepEqual(said, { algorithm: 'SHA-256', challenge: 'c', number: 7, salt: CHALLENGE.salt, signature: 'signed' });
});

const ending = (cause: number, fields: Partial<Ending> = {}): Ending =>
  ({ cause, ended_by: 'callee', cut_off: null, ...fields }) as Ending;

test('what the carrier has told is said in the language of the phone', () => {
  const messages = { en: 'All lines are in use.', de: 'Alle Leitungen sind belegt.' };
  assert.equal(toldIn(ending(34, { messages }), 'de'), messages.de);
  assert.equal(toldIn(ending(34, { messages: {} }), 'de'), undefined);
  assert.equal(toldIn(ending(34), 'de'), undefined);
  assert.equal(toldIn(undefined, 'de'), undefined);
});

test('an outcome follows from the cause, unless somebody has talked', () => {
  assert.equal(outcomeOf(ending(17), false), 'busy');
  assert.equal(outcomeOf(ending(19), false), 'unanswered');
  assert.equal(outcomeOf(ending(21), false), 'declined');
  assert.equal(outcomeOf(ending(41), false), 'failed');
  assert.equal(outcomeOf(ending(17), true), 'answered');
  assert.equal(outcomeOf(ending(487, { ended_by: 'caller' }), false), 'cancelled');
  assert.equal(outcomeOf(undefined, false), 'cancelled');
  assert.equal(outcomeOf(ending(602, { cut_off: 'duration' }), true), 'longest');
  for (const wasAnswered of [true, false]) {
    assert.equal(outcomeOf(ending(504, { ended_by: 'operator' }), wasAnswered), 'closed_button');
  }
  for (const lack of ['credit', 'cap'] as const) assert.equal(outcomeOf(ending(602, { cut_off: lack }), true), 'budget');
});

Object.assign(globalThis, { document: { documentElement: {} } });
await chooseLanguage(['en']);

/** What keeps visitors from talking: the gateway's codes, the SDK's, and the frame's. */
const PROBLEMS = [
  ...['button_paused', 'button_busy', 'button_limited', 'budget_reached', 'button_unavailable', 'not_found', 'bad_origin'],
  ...['challenge', 'human', 'microphone_refused', 'microphone_missing', 'microphone_busy', 'microphone_timeout'],
  ...['blocked_by_page', 'audio_blocked', 'unsupported_browser', 'insecure_page', 'offline', 'gateway_unreachable'],
  ...['connection_lost', 'gateway_busy', 'unforeseen'],
] as const;

/** The tables of all languages. */
const TABLES = await Promise.all(Object.values(languages).map(async (load) => (await load!()).words));

test('every problem has words in every language, and a way out', () => {
  assert.ok(TABLES.length > 2);
  for (const problem of PROBLEMS) {
    for (const words of TABLES) {
      const texts = [words[problem]].flat();
      assert.equal(texts.filter((text) => text).length, 2, problem);
    }
    assert.equal(problemOf(problem), problem);
  }
  assert.ok(!mayTryAgain('not_found') && mayTryAgain('button_busy'));
  assert.ok(isLocal('microphone_missing') && !isLocal('offline'));
});

test('a code that nobody knows is said to be unforeseen, whatever objects inherit', () => {
  for (const code of ['teapot', 'constructor', '__proto__', '']) assert.equal(problemOf(code), 'unforeseen');
  assert.equal(problemOf('challenge_used'), 'challenge');
});

test('of what an owner is refused for a visitor learns what concerns visitors', () => {
  for (const code of ['button_closed', 'button_busy', 'too_many_calls']) assert.equal(signedCodeOf(code), code);
  for (const code of ['insufficient_credit', 'scope_missing', '']) assert.equal(signedCodeOf(code), 'button_unavailable');
});

test('each language fills in the same things', () => {
  const filled = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const words of TABLES) {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(en).sort());
    for (const [key, said] of Object.entries(en)) {
      const texts = [words[key]].flat();
      assert.equal(texts.length, [said].flat().length, key);
      assert.deepEqual(texts.map(filled), [said].flat().map(filled), key);
    }
  }
});
