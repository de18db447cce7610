/** Keys of a telephone as a text, with pauses. Pure. */

import { CallerError } from './error';

/** How long one `w` waits. */
const PAUSE_MS = 500;

/** Keys that are pressed one after the other, so long after the first of all. */
export interface Press {
  keys: string;
  afterMs: number;
}

/**
 * Return the presses of a text: keys of ITU-T Q.23, and `w` for half a second of pause, as others have it. Throws
 * CallerError for any other character.
 */
export function digitsIn(text: string): Press[] {
  if (!/^[0-9*#A-Dw]+$/.test(text)) throw new CallerError('digits_invalid');
  let afterMs = 0;
  const presses: Press[] = [];
  // No message holds more than 32 keys (gateway/browser/messages.py).
  for (const part of text.match(/w|[^w]{1,32}/g) ?? []) {
    if (part === 'w') afterMs += PAUSE_MS;
    else presses.push({ keys: part, afterMs });
  }
  return presses;
}
