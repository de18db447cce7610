/**
 * SHA-256 (FIPS 180-4) of many ASCII texts that begin alike, synchronous: a worker that tries thousands of them loses
 * more time by asking `crypto.subtle` for each than by computing it. Pure.
 */

const BLOCK_BYTES = 64;

/** Bytes that end a message: one that marks its end, and its length in bits. */
const TAIL_BYTES = 9;

/** The first 32 bits of the fractional parts of square and cube roots of the first primes (FIPS 180-4, 4.2.2 and 5.3.3). */
const INITIAL = new Int32Array(8);
const ROUNDS = new Int32Array(64);
for (let n = 2, i = 0; i < 64; n++) {
  let d = 2;
  while (n % d) d++;
  if (d < n) continue;
  if (i < 8) INITIAL[i] = n ** 0.5 * 2 ** 32;
  ROUNDS[i++] = n ** (1 / 3) * 2 ** 32;
}

const schedule = new Int32Array(64);

/** Return what computes the digest of `prefix` and a short end, as eight 32-bit words that the next call overwrites. */
export function digester(prefix: string): (end: string) => Int32Array {
  const whole = prefix.length - (prefix.length % BLOCK_BYTES);
  const state = INITIAL.slice();
  for (let at = 0; at < whole; at += BLOCK_BYTES) compress(state, bytes(prefix.slice(at, at + BLOCK_BYTES), BLOCK_BYTES), 0);
  const rest = prefix.slice(whole);
  const digest = new Int32Array(8);
  return (end) => {
    const text = rest + end;
    const size = Math.ceil((text.length + TAIL_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
    const message = bytes(text, size);
    message.setUint8(text.length, 0x80);
    message.setUint32(size - 4, 8 * (whole + text.length));
    digest.set(state);
    for (let at = 0; at < size; at += BLOCK_BYTES) compress(digest, message, at);
    return digest;
  };
}

function bytes(text: string, size: number): DataView {
  const view = new DataView(new ArrayBuffer(size));
  for (let i = 0; i < text.length; i++) view.setUint8(i, text.charCodeAt(i));
  return view;
}

/** Take one block into the state (FIPS 180-4, 6.2.2). */
function compress(state: Int32Array, message: DataView, at: number): void {
  const w = schedule;
  for (let i = 0; i < 16; i++) w[i] = message.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15];
    const y = w[i - 2];
    const low = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const high = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    w[i] = w[i - 16] + low + w[i - 7] + high;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const first = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i] + w[i]) | 0;
    const second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  const added = [a, b, c, d, e, f, g, h];
  for (let i = 0; i < 8; i++) state[i] += added[i];
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
