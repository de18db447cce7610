/** The page's end of the worker that solves challenges. */

import { CallerError } from '../../sdk/core';
import type { Challenge } from './proof';

/** File name of the built worker, put in by the build. */
declare const SOLVER_FILE: string;

/** A slow phone under the hardest challenge; longer ones are worth nothing when they are solved. */
const SOLVE_MS = 60_000;

/**
 * Return the solution of what is asked for: the worker starts meanwhile. Throws what asking does, CallerError, or at once
 * what `signal` is aborted with.
 */
export async function solve(asked: Promise<Challenge>, signal: AbortSignal): Promise<string> {
  const worker = new Worker(new URL(SOLVER_FILE, import.meta.url));
  try {
    const challenge = await asked;
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const fail = (): void => reject(new CallerError('request_refused', { code: 'challenge_wrong' }));
      worker.onmessage = ({ data }: MessageEvent<string>) => (data ? resolve(data) : fail());
      worker.onerror = fail;
      signal.onabort = () => reject(signal.reason);
      window.setTimeout(fail, SOLVE_MS);
      worker.postMessage(challenge);
    });
  } finally {
    worker.terminate();
  }
}
