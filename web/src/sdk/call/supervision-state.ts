/** What is known of a supervision, and how each thing that happens changes it. Pure. */

import type { SupervisionMode, SupervisionReady } from '../wire';
import { asCallerError } from './error';

/** From the least to the most: each allows all before it (gateway/call/supervision.py). */
export const MODES: readonly SupervisionMode[] = ['listen', 'whisper', 'barge', 'take-over'];

/** Why something is not so; the words are the gateway's, or empty. */
export interface Trouble {
  readonly code: string;
  readonly title: string;
  readonly action: string;
}

export interface Supervision {
  readonly phase: 'out' | 'joining' | 'in';
  /** What holds. */
  readonly mode: SupervisionMode;
  /** What was chosen last; another than what holds until the microphone is open and the gateway has confirmed it. */
  readonly wanted: SupervisionMode;
  readonly most: SupervisionMode;
  /** Whether it is announced to caller and phone. */
  readonly announced: boolean;
  /** Whether somebody has listened, who does not any more. */
  readonly wasIn: boolean;
  readonly trouble?: Trouble;
}

export const OUT: Supervision = { phase: 'out', mode: 'listen', wanted: 'listen', most: 'listen', announced: true, wasIn: false };

export const JOINING: Supervision = { ...OUT, phase: 'joining' };

/** Return whether somebody hears the supervisor. */
export function speaks(mode: SupervisionMode): boolean {
  return mode !== 'listen';
}

/** Return whether an account that allows so much allows this. */
export function allows(most: SupervisionMode, mode: SupervisionMode): boolean {
  return MODES.indexOf(mode) <= MODES.indexOf(most);
}

/** Return the state of a supervisor who has just joined: they listen. */
export function entered({ most, announced }: SupervisionReady): Supervision {
  return { ...OUT, phase: 'in', most, announced };
}

/** Return the state once a mode is chosen. */
export function chosen({ trouble: _trouble, ...state }: Supervision, wanted: SupervisionMode): Supervision {
  return { ...state, wanted };
}

/** Return the state once the gateway says what holds; `isOpening`: what was chosen still waits for the microphone. */
export function confirmed(state: Supervision, mode: SupervisionMode, isOpening: boolean): Supervision {
  if (isOpening) return { ...state, mode };
  // Told again what held before: it could not be changed.
  const isRefused = mode === state.mode && mode !== state.wanted;
  return { ...state, mode, wanted: mode, ...(isRefused && { trouble: { code: 'unchanged', title: '', action: '' } }) };
}

/** Return the state where what was chosen cannot be. */
export function unchanged(state: Supervision, trouble: Trouble): Supervision {
  return { ...state, wanted: state.mode, trouble };
}

/** Return the state after the end; without trouble the supervisor has left. */
export function left({ phase }: Supervision, trouble?: Trouble): Supervision {
  return { ...OUT, wasIn: phase === 'in', ...(trouble && { trouble }) };
}

/** Return any error as trouble, in the gateway's words if it said any: the SDK's are about calls that one makes. */
export function troubleOf(error: unknown): Trouble {
  const { code, problem } = asCallerError(error);
  return { code, title: problem?.detail ?? '', action: problem?.action ?? '' };
}
