/**
 * Shows a call outside the page: in the tab's title, in the controls that the browser has for calls, and in a small
 * window where that is wanted.
 */

import { clock, t } from '../i18n';
import { grouped } from '../number';
import { elapsedSeconds } from '../sdk/core';
import type { Call, CallState } from '../sdk/core';
import { openCallWindow } from './call-window';

const REDRAW_MS = 1000;

/** Return the tab's title during a call: how long it has lasted, or what it waits for, and whom it calls. */
export function titleOf(state: CallState, nowMs: number): string {
  const first = state.phase === 'live' ? clock(elapsedSeconds(state, nowMs)) : t(state.phase);
  return `${first} · ${grouped(state.destination)}`;
}

/** The call that is followed. */
let accompanied: Call | undefined;

/** Show the call that goes on in a small window. Call it inside the click. */
export function popOut(label: string): void {
  // Refused without a click, and where another page has such a window.
  if (accompanied) void openCallWindow(accompanied, label).catch(() => {});
}

/** Follow a call until it has ended. */
export function accompany(call: Call): void {
  accompanied = call;
  const title = document.title;
  const show = (): void => {
    document.title = titleOf(call.state, performance.now());
  };
  const timer = window.setInterval(show, REDRAW_MS);
  const setMicrophone = control(call);
  call.on('changed', ({ phase, muted }) => {
    if (phase === 'ended') {
      window.clearInterval(timer);
      document.title = title;
      accompanied = undefined;
      control();
    } else {
      show();
      setMicrophone(!muted);
    }
  });
  show();
}

/** Let the browser's controls act on a call, on none without one; return what tells them of the microphone. */
function control(call?: Call): (isActive: boolean) => void {
  const session = navigator.mediaSession as MediaSession | undefined;
  const actions = {
    hangup: () => call?.disconnect(),
    togglemicrophone: () => call?.mute(!call.isMuted()),
  };
  for (const [name, act] of Object.entries(actions)) {
    try {
      session?.setActionHandler(name as MediaSessionAction, call ? act : null);
    } catch {
      // This browser has no such control (Media Session, 5: TypeError).
    }
  }
  return (isActive) => {
    try {
      void session?.setMicrophoneActive?.(isActive).catch(() => {});
    } catch {
      // The page is no longer shown.
    }
  };
}
