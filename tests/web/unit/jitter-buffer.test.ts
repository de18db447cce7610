/** The jitter buffer under the networks it is for: traces in simulated time, exact and repeatable. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeMulaw } from '../../../web/src/sdk/audio/g711';
import { JitterBuffer } from '../../../web/src/sdk/audio/jitter-buffer';
import { arrivals, frame, listen, sample, sum } from './playout';
import type { Arrival } from './playout';
import { random } from './signals';

test('on an even network nothing is invented and little waits', () => {
  const { buffer, levels, concealed } = listen(arrivals(30, () => 20));
  assert.equal(sum(concealed.slice(1)), 0);
  assert.equal(buffer.stats.skipped, 0);
  for (const level of levels.slice(15)) assert.ok(level > 5 && level < 35, `${level} ms`);
});

test('what is played is what was sent', () => {
  const { samples } = listen(arrivals(1, () => 0));
  const start = samples.findIndex((value, i) => value !== 0 && samples[i + 1] !== 0);
  const lag = Array.from({ length: 400 }, (_, i) => i).find((shift) => {
    return Array.from({ length: 200 }, (_, i) => i + 100).every((i) => samples[start + i] === sample(i + shift));
  });
  assert.notEqual(lag, undefined);
});

test('jitter of 60 ms is learnt and then heard no more', () => {
  const chance = random(1);
  const { buffer, concealed } = listen(arrivals(60, () => 40 + 60 * chance()));
  assert.ok(buffer.targetMs > 30 && buffer.targetMs < 100, `target ${buffer.targetMs}`);
  const share = sum(concealed.slice(10)) / 50_000;
  assert.ok(share < 0.005, `${share}`);
});

test('stalls of 250 ms every 5 s: most are bridged once the first was met', () => {
  const stalled = (number: number): number => Math.max(0, 250 - (number % 250) * 20);
  const { concealed, levels } = listen(arrivals(60, (number) => (number < 250 ? 0 : stalled(number))));
  const first = concealed[5];
  const later = sum(concealed.slice(10)) / 10;
  assert.ok(first > 150, `first ${first} ms`);
  assert.ok(later < 0.7 * first, `later ${later} ms each`);
  assert.ok(Math.max(...levels) < 420, `level ${Math.max(...levels)}`);
});

/** Stalls of so many ms, which end at these frames; all that was held up comes at once. */
const stalls = (heldMs: number, ends: number[]) => (number: number): number => {
  const next = ends.find((end) => end > number);
  return next !== undefined && (next - number) * 20 <= heldMs ? (next - number) * 20 : 0;
};

for (const heldMs of [100, 200, 300, 500, 1500, 3000]) {
  test(`one stall of ${heldMs} ms is forgotten within five seconds`, () => {
    const end = 500 + heldMs / 20;
    const { levels } = listen(arrivals(30, stalls(heldMs, [end])));
    const [before, at] = [levels[8], Math.ceil(end / 50)];
    assert.ok(levels[at + 3] < before + 40, `three seconds later ${levels[at + 3]} ms, before ${before}`);
    for (const level of levels.slice(at + 5)) assert.ok(level < before + 20, `${level} ms, before ${before}`);
  });
}

for (const everyS of [3, 5, 12]) {
  test(`stalls of 300 ms every ${everyS} s are not forgotten`, () => {
    const ends = Array.from({ length: 60 / everyS }, (_, i) => 50 * everyS * (i + 1));
    const { concealed } = listen(arrivals(62, stalls(300, ends)));
    const later = sum(concealed.slice(2 * everyS + 2));
    assert.ok(later < 20 * ends.length, `${later} ms concealed`);
  });
}

test('after any pattern of bursts little waits, though the sound has no period', () => {
  const chance = random(4);
  const noise = (): Uint8Array => Uint8Array.from({ length: 160 }, () => encodeMulaw(0.3 * (chance() - 0.5)));
  for (let seed = 0; seed < 30; seed++) {
    const heldMs = 100 + 2900 * chance();
    const { levels } = listen(arrivals(12, stalls(heldMs, [300 + heldMs / 20])), seed % 2 ? noise : undefined);
    const at = Math.ceil(6 + heldMs / 1000);
    for (const level of levels.slice(at + 3)) assert.ok(level < 100, `seed ${seed}, ${heldMs} ms: ${level} ms`);
  }
});

test('a gateway that tells a stall as a gap makes no delay', () => {
  const gap = (number: number): number => 400 * Math.floor(number / 250);
  const { levels, buffer } = listen(arrivals(30, gap));
  assert.ok(buffer.targetMs < 40, `target ${buffer.targetMs}`);
  for (const level of levels.slice(5)) assert.ok(level < 60, `${level} ms`);
});

test('delay paid for one stall is given back', () => {
  const { levels, buffer } = listen(arrivals(60, (number) => (number === 200 ? 300 : 10)));
  assert.ok(levels[10] < 330, `after 6 s ${levels[10]} ms`);
  assert.ok(buffer.targetMs < 60, `target ${buffer.targetMs}`);
  assert.ok(levels[levels.length - 1] < 80, `at the end ${levels[levels.length - 1]} ms`);
});

for (const ppm of [300, -300]) {
  test(`a far clock ${ppm} ppm off is followed without a gap`, () => {
    const { concealed, levels } = listen(arrivals(120, () => 20, 1 - ppm / 1e6));
    assert.ok(sum(concealed.slice(1)) <= 10, `${sum(concealed)} ms concealed`);
    for (const level of levels.slice(20)) assert.ok(level > 3 && level < 50, `${level} ms`);
  });
}

test('lost frames are concealed and add no lasting delay', () => {
  const chance = random(2);
  const lossy = arrivals(60, () => 20).filter(() => chance() > 0.003);
  const { levels, buffer } = listen(lossy);
  const late = levels.slice(20);
  assert.ok(sum(late) / late.length < 60, `mean level ${sum(late) / late.length}`);
  assert.ok(buffer.stats.concealed < 0.01 * 60 * 8000, `${buffer.stats.concealed / 8} ms`);
});

test('after a long silence of the sender play starts afresh, without lag', () => {
  const before = arrivals(5, () => 20);
  const after = arrivals(10, () => 20).map(({ atS, number }) => ({ atS: atS + 10, number }));
  const { levels, buffer } = listen([...before, ...after]);
  assert.ok(levels[levels.length - 1] < 60, `${levels[levels.length - 1]} ms`);
  assert.ok(buffer.targetMs < 60, `target ${buffer.targetMs}`);
});

test('a second of audio at once is cut short, not carried along', () => {
  const { levels, buffer } = listen(arrivals(30, (number) => (number === 250 ? 1500 : 20)));
  assert.ok(levels[12] < 450, `${levels[12]} ms`);
  assert.ok(buffer.stats.skipped + buffer.stats.shortened > 4000, 'nothing was removed');
});

test('however much comes at once, what waits is never said to be less than nothing', () => {
  for (const frames of [20, 30, 60, 150]) {
    const buffer = new JitterBuffer();
    for (let second = 0; second < 3; second++) {
      for (let number = 0; number < 50; number++) {
        // For half a second nothing, then all of it together.
        const due = number < 25 ? 1 : number === 49 ? frames : 0;
        for (let i = 0; i < due; i++) buffer.push(frame(number), second + number / 50);
        for (let pulled = 0; pulled < 160; pulled += buffer.pull().length);
        assert.ok(buffer.levelMs >= 0, `${frames} frames: ${buffer.levelMs} ms`);
      }
    }
  }
});

test('missing frames are bridged without a click', () => {
  const buffer = new JitterBuffer();
  const out: number[] = [];
  for (let number = 0; number < 100; number++) {
    if (number < 60 || number > 63) buffer.push(frame(number), number * 0.02);
    out.push(...buffer.pull(), ...buffer.pull());
  }
  const steps = out.slice(1).map((value, i) => Math.abs(value - out[i]));
  const usual = Math.max(...Array.from({ length: 8000 }, (_, i) => Math.abs(sample(i + 1) - sample(i))));
  assert.ok(Math.max(...steps) <= 1.5 * usual, `step ${Math.max(...steps)}, usual ${usual}`);
  assert.ok(buffer.stats.concealed > 0, 'nothing was concealed');
});

test('concealment fades to silence within 60 ms', () => {
  const buffer = new JitterBuffer();
  for (let number = 0; number < 20; number++) {
    buffer.push(frame(number), number * 0.02);
    buffer.pull();
  }
  const tail: number[] = [];
  for (let i = 0; i < 60; i++) tail.push(...buffer.pull());
  assert.ok(tail.slice(-800).every((value) => value === 0));
});

test('no trace makes it hold more than it may, nor play what is no sound', () => {
  for (let seed = 0; seed < 40; seed++) {
    const chance = random(seed);
    const trace: Arrival[] = [];
    let atS = 0;
    for (let number = 0; number < 500; number++) {
      const kind = chance();
      atS += kind < 0.02 ? 3 * chance() : kind < 0.3 ? 0 : 0.04 * chance();
      if (chance() > 0.05) trace.push({ atS, number });
    }
    const { samples, levels, buffer } = listen(trace);
    assert.ok(samples.every((value) => Math.abs(value) <= 1.2), `seed ${seed}`);
    assert.ok(Math.max(0, ...levels) <= 2000, `seed ${seed}`);
    assert.ok(buffer.targetMs >= 10 && buffer.targetMs <= 400, `seed ${seed}`);
    assert.ok(Math.abs(buffer.drift) <= 0.004, `seed ${seed}`);
  }
});
