/** What is asked of the microphone, and what a browser keeps. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { constraints, soundChoice } from '../../../web/src/sdk/call/sound-choice';
import { chooseSound } from '../../../web/src/sdk/call/sound-choosing';

const kept = new Map<string, string>();
Object.assign(globalThis, {
  localStorage: {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
  },
});

test('all is on until somebody chooses, and nothing is kept till then', () => {
  const { echoCancellation, noiseSuppression, autoGainControl } = soundChoice();
  assert.deepEqual([echoCancellation, noiseSuppression, autoGainControl, kept.size], [true, true, true, 0]);
});

test('echo is cancelled of all the machine plays, or not at all', () => {
  assert.deepEqual(constraints(soundChoice()).echoCancellation, { ideal: 'all' });
  assert.deepEqual(constraints({ ...soundChoice(), echoCancellation: false }).echoCancellation, { ideal: false });
});

test('a device is asked for, never insisted on', () => {
  assert.equal('deviceId' in constraints(soundChoice()), false);
  assert.deepEqual(constraints({ ...soundChoice(), microphone: 'id' }).deviceId, { ideal: 'id' });
});

test('a choice holds at once and is kept', () => {
  chooseSound({ noiseSuppression: false });
  assert.equal(soundChoice().noiseSuppression, false);
  assert.equal(soundChoice().echoCancellation, true);
  assert.equal(kept.size, 1);
});
