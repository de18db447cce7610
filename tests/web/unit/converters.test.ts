/** What the two rate conversions let through, at every rate a sound card runs at. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { captureConverter, playbackConverter } from '../../../web/src/sdk/audio/converters';
import type { Resampler } from '../../../web/src/sdk/audio/resampler';
import { amplitude, decibels, sine } from './signals';

const QUANTUM = 128;

/** Convert in the pieces the audio thread works in. */
function convert(converter: Resampler, input: Float32Array): Float32Array {
  const out: number[] = [];
  for (let i = 0; i + QUANTUM <= input.length; i += QUANTUM) {
    converter.push(input.subarray(i, i + QUANTUM));
    while (converter.ready) out.push(converter.pull());
  }
  // The first 40 ms hold the filter's settling.
  return Float32Array.from(out).subarray(Math.floor(out.length / 25));
}

/** Gain in dB of a tone captured; above 4 kHz it could only appear folded back to 8 kHz - f. */
function captureGain(contextHz: number, hz: number): number {
  const out = convert(captureConverter(contextHz), sine(hz, contextHz, contextHz));
  return decibels(amplitude(out, hz > 4000 ? 8000 - hz : hz, 8000) / 0.5);
}

/** Level in dB of what a tone of `hz` leaves at `atHz` when played. */
function playbackGain(contextHz: number, hz: number, atHz: number): number {
  const out = convert(playbackConverter(contextHz), sine(hz, 8000, 8000));
  return decibels(amplitude(out, atHz, contextHz) / 0.5);
}

for (const contextHz of [44_100, 48_000, 96_000]) {
  test(`capture at ${contextHz} Hz keeps the telephone band`, () => {
    for (const hz of [300, 1000, 2000, 3000]) assert.ok(Math.abs(captureGain(contextHz, hz)) < 0.1, `${hz} Hz`);
    const edge = captureGain(contextHz, 3400);
    assert.ok(edge > -1 && edge < 0, `3400 Hz: ${edge}`);
  });

  test(`capture at ${contextHz} Hz folds nothing back`, () => {
    for (const hz of [4600, 5000, 6500, 7700]) {
      const gain = captureGain(contextHz, hz);
      assert.ok(gain < -65, `${hz} Hz: ${gain}`);
    }
  });

  test(`playback at ${contextHz} Hz keeps the tone and removes its images`, () => {
    for (const hz of [300, 1000, 3000]) {
      assert.ok(Math.abs(playbackGain(contextHz, hz, hz)) < 0.1, `${hz} Hz`);
      const image = playbackGain(contextHz, hz, 8000 - hz);
      assert.ok(image < -65, `image of ${hz} Hz: ${image}`);
    }
  });
}

test('a second of input gives a second of output', () => {
  for (const contextHz of [8000, 44_100, 48_000, 192_000]) {
    const converter = captureConverter(contextHz);
    let count = 0;
    for (let i = 0; i < contextHz; i += QUANTUM) {
      converter.push(new Float32Array(QUANTUM));
      while (converter.ready) {
        converter.pull();
        count++;
      }
    }
    assert.ok(Math.abs(count - 8000) <= 130, `${contextHz} Hz: ${count}`);
  }
});

test('drift makes the input last shorter', () => {
  const converter = playbackConverter(48_000);
  let out = 0;
  for (let i = 0; i < 8000; i += 80) {
    converter.push(new Float32Array(80));
    for (; converter.ready; out++) converter.pull(0.004);
  }
  assert.ok(Math.abs(out - 48_000 / 1.004) < 200, String(out));
});
