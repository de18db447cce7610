/** Makes another choice of devices and processing. Apart from what holds, for no call needs this. */

import { STORED, followers, soundChoice } from './sound-choice';
import type { SoundChoice } from './sound-choice';

/**
 * Choose, for this and later calls of this browser. Throws CallerError if a call that is under way cannot use what is
 * chosen; its sound goes on as it was then.
 */
export async function chooseSound(changes: Partial<SoundChoice>): Promise<void> {
  const choice = Object.assign(soundChoice(), changes);
  try {
    localStorage.setItem(STORED, JSON.stringify(choice));
  } catch {
    // Storage is blocked: the choice lives as long as the page.
  }
  await Promise.all([...followers].map((apply) => apply()));
}
