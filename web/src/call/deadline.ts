/** Nothing a caller waits for may wait for ever. */

import { CallFailure } from './failure';
import type { FailureCode } from './failure';

/** Settle as `work` does, or reject with the failure code once the milliseconds have passed. */
export async function within<T>(ms: number, code: FailureCode, work: Promise<T>): Promise<T> {
  let timer = 0;
  const expired = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(new CallFailure(code)), ms);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    window.clearTimeout(timer);
  }
}
