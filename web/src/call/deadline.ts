/** Nothing a caller waits for may wait for ever. */

import { CallFailure, unreachable } from './failure';
import type { FailureCode } from './failure';

/** Settle as `work` does, or reject once the milliseconds have passed: with this code, or for want of the gateway. */
export async function within<T>(ms: number, work: Promise<T>, code?: FailureCode): Promise<T> {
  let timer = 0;
  const expired = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(code ? new CallFailure(code) : unreachable()), ms);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    window.clearTimeout(timer);
  }
}
