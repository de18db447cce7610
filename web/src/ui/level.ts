/** How a level meter shows loudness. */

/** Quietest level a meter shows, in dBov. */
const FLOOR_DB = -55;

/** Return the share of a meter that a linear level, 0 to 1, fills. */
export function levelShare(rms: number): string {
  const db = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.max(0, Math.min(1, 1 - db / FLOOR_DB)).toFixed(2);
}
