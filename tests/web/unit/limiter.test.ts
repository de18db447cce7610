/** What loud sound becomes before it is coded. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { limit } from '../../../web/src/sdk/audio/limiter';
import { amplitude, decibels, sine } from './signals';

test('speech at its usual level is untouched, sample by sample', () => {
  for (const sample of sine(440, 8000, 8000, 0.7)) assert.equal(limit(sample), sample);
});

test('nothing goes beyond what mu-law holds, however loud, and signs are kept', () => {
  for (const sample of [0.71, 0.99, 1, 1.5, 40, 1e6]) {
    assert.ok(limit(sample) <= 32635 / 32768, String(sample));
    assert.equal(limit(-sample), -limit(sample));
  }
});

test('louder stays louder, without a step', () => {
  for (let sample = 0; sample < 1.2; sample += 0.001) {
    const rise = limit(sample + 0.001) - limit(sample);
    assert.ok(rise > 0 && rise <= 0.001 + 1e-12, String(sample));
  }
});

test('an overload keeps its tone: the harsh overtones are fewer than from clipping', () => {
  for (const level of [1.2, 1.5]) {
    const loud = sine(500, 8000, 8000, level);
    const harsh = (x: Float32Array): number => Math.hypot(amplitude(x, 2500, 8000), amplitude(x, 3500, 8000));
    const clipped = loud.map((sample) => Math.max(-1, Math.min(1, sample)));
    assert.ok(harsh(loud.map(limit)) < harsh(clipped), String(level));
    assert.ok(decibels(amplitude(loud.map(limit), 1500, 8000)) < -15, String(level));
  }
});

test('what follows a loud moment is as it was: nothing pumps', () => {
  limit(1);
  assert.equal(limit(0.3), 0.3);
});
