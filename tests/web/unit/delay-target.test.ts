/** The delay target by itself: its bounds, and how fast it moves. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { DelayTarget } from '../../../web/src/sdk/audio/delay-target';

function feed(target: DelayTarget, from: number, to: number, delayMs: number): void {
  for (let number = from; number < to; number++) target.arrived(number * 0.02 + delayMs / 1000);
}

test('it starts at 30 ms and falls to the floor of 10 ms on an even network', () => {
  const target = new DelayTarget();
  assert.equal(target.ms, 30);
  feed(target, 0, 3000, 20);
  assert.ok(target.ms >= 10 && target.ms < 11, String(target.ms));
});

/** Feed frames of which those of a stall come together at its end, for each second that has one. */
function stall(target: DelayTarget, from: number, to: number, heldMs: number): void {
  for (let number = from; number < to; number++) {
    const at = number * 0.02;
    target.arrived(Math.max(at, Math.min(from * 0.02 + heldMs / 1000, at + heldMs / 1000)));
  }
}

test('one stall changes nothing', () => {
  const target = new DelayTarget();
  feed(target, 0, 500, 0);
  const before = target.ms;
  stall(target, 500, 550, 300);
  assert.ok(target.ms <= before, `${before} to ${target.ms}`);
});

test('the second stall within fifteen seconds makes it rise at once, and it falls over many', () => {
  const target = new DelayTarget();
  feed(target, 0, 500, 0);
  stall(target, 500, 1000, 200);
  stall(target, 1000, 1020, 200);
  const risen = target.ms;
  assert.ok(risen > 150 && risen < 230, String(risen));
  feed(target, 1020, 1740, 0);
  assert.ok(target.ms > 0.95 * risen, `fourteen seconds later ${target.ms}`);
  feed(target, 1740, 3500, 0);
  assert.ok(target.ms < 30, `half a minute later ${target.ms}`);
});

test('a sender that paused is no stall', () => {
  const target = new DelayTarget();
  feed(target, 0, 500, 0);
  const before = target.ms;
  for (let pause = 1; pause < 6; pause++) feed(target, 500 * pause, 500 * (pause + 1), 400 * pause);
  assert.ok(target.ms <= before, `${before} to ${target.ms}`);
});

test('no lateness lifts it above 400 ms', () => {
  const target = new DelayTarget();
  feed(target, 0, 100, 0);
  for (let from = 100; from < 1000; from += 100) stall(target, from, from + 100, 900);
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
