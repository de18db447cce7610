/**
 * The sound of a key, played to the caller only: two sines of ITU-T Q.23. What the phone hears is the
 * gateway's matter.
 */

const ROWS_HZ = [697, 770, 852, 941];
const COLUMNS_HZ = [1209, 1336, 1477];
const KEYS = '123456789*0#';

const TONE_S = 0.12;
const LEVEL = 0.06;

let context: AudioContext | undefined;

/** Play the key's tones. Call it inside a click or key press. */
export function playKey(key: string): void {
  const index = KEYS.indexOf(key);
  if (index < 0) return;
  context ??= new AudioContext();
  void context.resume();
  const gain = new GainNode(context, { gain: LEVEL });
  gain.connect(context.destination);
  const end = context.currentTime + TONE_S;
  // A linear end instead of a cut: no click.
  gain.gain.setValueAtTime(LEVEL, end - 0.01);
  gain.gain.linearRampToValueAtTime(0, end);
  for (const frequency of [ROWS_HZ[Math.floor(index / 3)], COLUMNS_HZ[index % 3]]) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(gain);
    tone.start();
    tone.stop(end);
  }
}

/** Give the sound card back. */
export function stopKeys(): void {
  void context?.close().catch(() => {});
  context = undefined;
}
