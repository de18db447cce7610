/** A listener in simulated time: frames arrive as a trace says, the sound card asks every 2.7 ms. */

import { JitterBuffer } from '../../../web/src/sdk/audio/jitter-buffer';
import { MULAW_DECODE, encodeMulaw } from '../../../web/src/sdk/audio/g711';

const QUANTUM_S = 128 / 48_000;
const FRAME_S = 0.02;

/** Sample `index` of the endless test voice: a 125 Hz tone with overtones, its level swelling like syllables. */
function voice(index: number): number {
  const angle = (2 * Math.PI * 125 * index) / 8000;
  const level = 0.15 + 0.15 * Math.sin((2 * Math.PI * 3 * index) / 8000);
  return level * (Math.sin(angle) + 0.5 * Math.sin(2 * angle + 1) + 0.3 * Math.sin(5 * angle + 2));
}

/** The stream's frame of this number. */
export function frame(number: number): Uint8Array {
  return Uint8Array.from({ length: 160 }, (_, i) => encodeMulaw(voice(number * 160 + i)));
}

/** The decoded sample the stream holds at this place. */
export function sample(index: number): number {
  return MULAW_DECODE[encodeMulaw(voice(index))];
}

export interface Arrival {
  atS: number;
  number: number;
}

/** Arrivals in order, as TCP gives them: nothing overtakes. `delayMs` is the network's for each frame. */
export function arrivals(seconds: number, delayMs: (number: number) => number, clock = 1): Arrival[] {
  let lastS = 0;
  return Array.from({ length: Math.floor(seconds / FRAME_S) }, (_, number) => {
    lastS = Math.max(lastS, number * FRAME_S * clock + delayMs(number) / 1000);
    return { atS: lastS, number };
  });
}

export interface Heard {
  samples: Float32Array;
  buffer: JitterBuffer;
  /** Mean milliseconds waiting, for each second of the run. */
  levels: number[];
  /** Milliseconds concealed, for each second of the run. */
  concealed: number[];
}

/** Play a trace to its end. */
export function listen(trace: Arrival[], speak: (number: number) => Uint8Array = frame): Heard {
  const buffer = new JitterBuffer();
  const out: number[] = [];
  const levels: number[] = [];
  const concealed: number[] = [];
  const endS = trace[trace.length - 1].atS;
  let next = 0;
  let owed = 0;
  for (let nowS = 0; nowS < endS; nowS += QUANTUM_S) {
    for (; next < trace.length && trace[next].atS <= nowS; next++) buffer.push(speak(trace[next].number), nowS);
    owed += QUANTUM_S * 8000 * (1 + buffer.drift);
    while (owed > 0) {
      const block = buffer.pull();
      out.push(...block);
      owed -= block.length;
    }
    if (levels.length < Math.floor(nowS)) {
      levels.push(buffer.levelMs);
      concealed.push(buffer.stats.concealed / 8 - concealed.reduce((a, b) => a + b, 0));
    }
  }
  return { samples: Float32Array.from(out), buffer, levels, concealed };
}

export const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
