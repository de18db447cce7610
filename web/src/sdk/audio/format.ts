/**
 * The audio format of the browser leg: G.711 mu-law, 8 kHz, 20 ms frames. One place for its numbers.
 */

/** Samples per second on the wire. */
export const RATE_HZ = 8000;

/** Samples, and so bytes, of one 20 ms frame. */
export const FRAME_SAMPLES = 160;

/** Upper edge of the telephone band that both filters keep, in Hz. */
export const CUTOFF_HZ = 3800;
