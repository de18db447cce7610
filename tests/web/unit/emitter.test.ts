/** Who is told of what. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Emitter } from '../../../web/src/sdk/emitter';

class Bell extends Emitter<{ ring: [times: number]; stop: [] }> {
  ring(times: number): void {
    this.emit('ring', times);
  }
}

test('listeners are told in order, each once', () => {
  const heard: string[] = [];
  const first = (times: number): void => void heard.push(`first ${times}`);
  const bell = new Bell().on('ring', first).on('ring', (times) => heard.push(`second ${times}`)).on('ring', first);
  bell.on('stop', () => heard.push('stop'));
  bell.ring(3);
  assert.deepEqual(heard, ['first 3', 'second 3']);
  bell.off('ring', first).off('stop', () => {});
  bell.ring(4);
  assert.deepEqual(heard.slice(2), ['second 4']);
});

test('a listener that throws is reported and stops no other', () => {
  const reported: unknown[] = [];
  Object.assign(globalThis, { reportError: (error: unknown) => reported.push(error) });
  const fault = new Error('of the page');
  let isTold = false;
  new Bell()
    .on('ring', () => {
      throw fault;
    })
    .on('ring', () => (isTold = true))
    .ring(1);
  assert.deepEqual([reported, isTold], [[fault], true]);
});

test('who stops listening while others are told is told no more from the next time on', () => {
  const heard: number[] = [];
  const bell = new Bell();
  const once = (times: number): void => {
    heard.push(times);
    bell.off('ring', once);
  };
  bell.on('ring', once).on('ring', (times) => heard.push(10 * times));
  bell.ring(1);
  bell.ring(2);
  assert.deepEqual(heard, [1, 10, 20]);
});
