/** G.711 against the decoder of Python's audioop, and against the quantiser's own definition. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { MULAW_DECODE, MULAW_SILENCE, encodeMulaw } from '../../../web/src/sdk/audio/g711';
import { vectors } from './vectors';

/** The one code with a twin: negative zero, which no encoder sends. */
const NEGATIVE_ZERO = 0x7f;

test('every code decodes as audioop decodes it', () => {
  assert.deepEqual(
    Array.from(MULAW_DECODE, (sample) => sample * 32768 + 0),
    vectors.mulaw,
  );
});

test('every code survives a round trip', () => {
  const codes = Array.from({ length: 256 }, (_, code) => code);
  const back = codes.map((code) => encodeMulaw(MULAW_DECODE[code]));
  assert.deepEqual(
    back,
    codes.map((code) => (code === NEGATIVE_ZERO ? MULAW_SILENCE : code)),
  );
});

test('every 16-bit sample is coded to the nearest level of its segment', () => {
  for (let value = -32635; value <= 32635; value++) {
    const level = MULAW_DECODE[encodeMulaw(value / 32768)] * 32768;
    // ITU-T G.711: segments double from 132 on, each of 16 steps.
    const step = 2 ** (Math.floor(Math.log2(Math.abs(value) + 132)) - 4);
    assert.ok(Math.abs(level - value) <= step / 2, `${value} became ${level}`);
  }
});

test('what is beyond full scale is clipped', () => {
  assert.equal(encodeMulaw(3), 0x80);
  assert.equal(encodeMulaw(-3), 0x00);
});
