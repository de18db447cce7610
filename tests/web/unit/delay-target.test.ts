/** The delay target by itself: its bounds, and how fast it moves. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { DelayTarget } from '../../../web/src/audio/delay-target';

function feed(target: DelayTarget, from: number, to: number, delayMs: number): void {
  for (let number = from; number < to; number++) target.arrived(number * 0.02 + delayMs / 1000);
}

test('it starts at 30 ms and falls to the floor of 10 ms on an even network', () => {
  const target = new DelayTarget();
  assert.equal(target.ms, 30);
  feed(target, 0, 3000, 20);
  assert.ok(target.ms >= 10 && target.ms < 11, String(target.ms));
});

test('it rises within a quarter of a second and falls over many', () => {
  const target = new DelayTarget();
  feed(target, 0, 500, 0);
  feed(target, 500, 512, 200);
  const risen = target.ms;
  assert.ok(risen > 150, String(risen));
  feed(target, 512, 562, 0);
  assert.ok(target.ms > 0.8 * risen, `a second later ${target.ms}`);
});

test('no lateness lifts it above 400 ms', () => {
  const target = new DelayTarget();
  feed(target, 0, 100, 0);
  feed(target, 100, 200, 900);
  assert.ok(target.ms > 350 && target.ms <= 400, String(target.ms));
});

test('a network that became slower for good is the new measure after some seconds', () => {
  const target = new DelayTarget();
  feed(target, 0, 500, 0);
  feed(target, 500, 5000, 300);
  assert.ok(target.ms < 60, String(target.ms));
});

test('jitter is the mean change of delay from frame to frame', () => {
  const target = new DelayTarget();
  feed(target, 0, 100, 20);
  assert.equal(Math.round(target.jitterMs), 0);
  for (let number = 100; number < 400; number++) target.arrived(number * 0.02 + (number % 2 ? 0.03 : 0.02));
  assert.ok(Math.abs(target.jitterMs - 10) < 0.5, String(target.jitterMs));
});
