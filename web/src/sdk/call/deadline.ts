/** Nothing a caller waits for may wait for ever. */

import { CallerError, unreachable } from './error';
import type { OwnCode } from '../error-words';

/** Settle as `work` does, or reject once the milliseconds have passed: with this code, or because the gateway is missing. */
export async function within<T>(ms: number, work: Promise<T>, code?: OwnCode): Promise<T> {
  let timer = 0;
  const expired = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(code ? new CallerError(code) : unreachable()), ms);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    window.clearTimeout(timer);
  }
}
