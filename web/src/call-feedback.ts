/** Sends what somebody says of a call that has just ended. */

import { CallerError } from './sdk/core';

/** The record of such a call is written within moments: pauses before it is tried again. */
const PAUSES_MS = [500, 1500, 4000];

/** Send until the call's record is there; return whether it was taken. What is said first stays: repeating it is harmless. */
export async function sendFeedback(send: () => Promise<unknown>): Promise<boolean> {
  for (const pauseMs of [...PAUSES_MS, undefined]) {
    try {
      await send();
      return true;
    } catch (error) {
      const isUnwritten = error instanceof CallerError && error.problem?.code === 'call_not_found';
      if (!isUnwritten || pauseMs === undefined) return false;
      await new Promise((resolve) => window.setTimeout(resolve, pauseMs));
    }
  }
  return false;
}
