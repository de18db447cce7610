/**
 * What keys do while the focus is in the phone: in a call those of a telephone are pressed at the phone, and letters
 * work its controls. They act nowhere else on the page, and never while something is written (WCAG 2.2, 2.1.4).
 */

import type { CallState } from '../sdk/core';
import type { KeyHelp } from './key-help';
import type { Phone } from './phone';

export type Act = 'mute' | 'hold' | 'hangUp' | 'help' | { digit: string };

const DTMF_KEY = /^[0-9*#]$/;

const LETTERS: Partial<Record<string, Act>> = { m: 'mute', h: 'hold' };

/** Where keys are text, or choose something. */
const WRITTEN = 'input:not([type=radio], [type=checkbox]), textarea, select';

type Press = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'shiftKey' | 'altKey' | 'metaKey' | 'repeat'>;

/** Return what a key does to a call of this phase; undefined where that is nothing of ours. Pure. */
export function actOf(press: Press, phase: CallState['phase'] | undefined): Act | undefined {
  const { key, ctrlKey, shiftKey, altKey, metaKey, repeat } = press;
  if (repeat || altKey || metaKey) return undefined;
  const letter = key.toLowerCase();
  if (ctrlKey) return shiftKey && letter === 'h' && phase && phase !== 'ended' ? 'hangUp' : undefined;
  if (key === '?') return 'help';
  if (phase !== 'live') return undefined;
  return DTMF_KEY.test(key) ? { digit: key } : LETTERS[letter];
}

/** Do what a key that is pressed in the phone is for. */
export function keyDown(phone: Phone, event: KeyboardEvent): void {
  const [at] = event.composedPath();
  if (at instanceof Element && at.matches(WRITTEN)) return;
  const { call } = phone;
  const act = actOf(event, phone.state?.phase);
  if (!act) return;
  if (act === 'mute') call?.mute(!call.isMuted());
  else if (act === 'hold') call?.hold(!call.isHeld());
  else if (act === 'hangUp') call?.disconnect();
  else if (act === 'help') void phone.renderRoot.querySelector<KeyHelp>('caller-key-help')?.open();
  else phone.press(act.digit);
  // Browsers have uses of their own for some: quick find, the history.
  event.preventDefault();
}
