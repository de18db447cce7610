/**
 * A bounded queue of samples: when it is full, the oldest give way. Pure.
 */
export class SampleRing {
  readonly #samples: Float32Array;
  #first = 0;
  #length = 0;

  constructor(capacity: number) {
    this.#samples = new Float32Array(capacity);
  }

  /** Samples waiting. */
  get length(): number {
    return this.#length;
  }

  /** Append codes through a decoding table; return how many old samples had to go. */
  push(codes: Uint8Array, decode: Float32Array): number {
    const capacity = this.#samples.length;
    const surplus = Math.max(0, this.#length + codes.length - capacity);
    this.skip(surplus);
    let write = (this.#first + this.#length) % capacity;
    for (let i = 0; i < codes.length; i++) {
      this.#samples[write] = decode[codes[i]];
      if (++write === capacity) write = 0;
    }
    this.#length += codes.length;
    return surplus;
  }

  /** Copy the next samples without removing them; there must be that many. */
  peek(count: number, target: Float32Array): void {
    const capacity = this.#samples.length;
    let read = this.#first;
    for (let i = 0; i < count; i++) {
      target[i] = this.#samples[read];
      if (++read === capacity) read = 0;
    }
  }

  /** Remove the next samples; there must be that many. */
  skip(count: number): void {
    this.#first = (this.#first + count) % this.#samples.length;
    this.#length -= count;
  }
}
