/** What a supervisor may, does and is told. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { CallerError } from '../../../web/src/sdk/call/error';
import { JOINING, MODES, allows, chosen, confirmed, entered, left, speaks, troubleOf, unchanged } from '../../../web/src/sdk/call/supervision-state';
import { parseMessage } from '../../../web/src/sdk/wire';
import type { SupervisionMode, SupervisionReady } from '../../../web/src/sdk/wire';
import { vectors } from './vectors';

const ready = vectors.messages.map(parseMessage).find((each) => each?.type === 'supervision-ready') as SupervisionReady;
const inside = entered(ready);

test('whoever is let in listens, and may what the account allows', () => {
  const { phase, mode, wanted, most, announced } = inside;
  assert.deepEqual([phase, mode, wanted, most, announced], ['in', 'listen', 'listen', 'barge', true]);
  assert.equal(MODES.filter(speaks).includes('listen'), false);
});

test('each mode allows itself and all that is less', () => {
  for (const most of MODES) {
    const allowed = MODES.filter((mode) => allows(most, mode));
    assert.deepEqual(allowed, MODES.slice(0, MODES.indexOf(most) + 1));
  }
});

test('nothing holds before the gateway has confirmed it', () => {
  const waiting = chosen(inside, 'barge');
  assert.deepEqual([waiting.mode, waiting.wanted], ['listen', 'barge']);
  const held = confirmed(waiting, 'barge', false);
  assert.deepEqual([held.mode, held.wanted, held.trouble], ['barge', 'barge', undefined]);
});

test('what the gateway says while the microphone is opened changes nothing of what is chosen', () => {
  const waiting = confirmed(chosen(inside, 'whisper'), 'listen', true);
  assert.deepEqual([waiting.mode, waiting.wanted, waiting.trouble], ['listen', 'whisper', undefined]);
});

test('what was chosen and is not so is told, until something else is chosen', () => {
  const refused = confirmed(chosen(inside, 'barge'), 'listen', false);
  assert.deepEqual([refused.wanted, refused.trouble?.code], ['listen', 'unchanged']);
  assert.equal(chosen(refused, 'whisper').trouble, undefined);
  // Listening that is confirmed once more is no refusal.
  assert.equal(confirmed(inside, 'listen', false).trouble, undefined);
  const silent = unchanged(chosen(inside, 'barge'), troubleOf(new CallerError('microphone_refused')));
  assert.deepEqual([silent.phase, silent.wanted, silent.trouble?.code], ['in', 'listen', 'microphone_refused']);
});

test('whoever is out is heard by nobody, and known to have been in', () => {
  const mode: SupervisionMode = 'take-over';
  const out = left(confirmed(chosen(inside, mode), mode, false), troubleOf(new CallerError('connection_lost')));
  assert.deepEqual([out.phase, out.mode, out.wasIn, out.trouble?.code], ['out', 'listen', true, 'connection_lost']);
  assert.equal(left(JOINING).wasIn, false);
  assert.equal('trouble' in left(inside), false);
});

test('trouble has the words of the gateway, or none', () => {
  const problem = { code: 'of_a_newer_gateway', detail: 'It is a teapot.', action: 'Get a kettle.' };
  assert.deepEqual(troubleOf(new CallerError('request_refused', problem)), {
    code: 'of_a_newer_gateway',
    title: 'It is a teapot.',
    action: 'Get a kettle.',
  });
  assert.deepEqual(troubleOf(new Error('x')), { code: 'page_crashed', title: '', action: '' });
});
