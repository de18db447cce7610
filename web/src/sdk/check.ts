/** The check before a call: the voice goes to the gateway and back for some seconds, and a verdict follows. */

import { within } from './call/deadline';
import { CallerError, asCallerError } from './call/error';
import { Line } from './call/line';
import type { LineSetup } from './call/line';
import { tabStore } from './call/tab-store';
import type { CheckResult, GatewayMessage, MediaToken } from './wire';

const TOKEN_MS = 10_000;

/** Connecting both ways, and as much again as the gateway listens. */
const RESULT_MS = 30_000;

/** How a call from here would sound. */
export type CheckReport = CheckResult;

export interface CheckOptions extends LineSetup {
  /** The gateway listens for so many seconds from now: speak. */
  speaking?: (seconds: number) => void;
  /** Linear level of the microphone, 0 to 1, ten times a second. */
  level?: (rms: number) => void;
  /** Ends the check, which throws the reason then. */
  signal?: AbortSignal;
}

/**
 * Check the line, given how to get a token of `POST /v1/check-tokens`. It places no call and costs nothing. Call it
 * inside the click. Throws CallerError.
 */
export async function checkLine(getToken: () => Promise<MediaToken>, options: CheckOptions = {}): Promise<CheckReport> {
  let done: (report: CheckReport) => void = () => {};
  let fail: (reason: unknown) => void = () => {};
  const over = new Promise<CheckReport>((resolve, reject) => {
    done = resolve;
    fail = reject;
  });
  // It may fail before anything awaits it.
  over.catch(() => {});
  const line = new Line(
    {
      message: (message) => receive(message, options, done),
      path: () => {},
      away: () => {},
      ended: (failure) => fail(failure ?? new CallerError('connection_lost')),
      level: (microphone) => options.level?.(microphone),
      dead: () => {},
      lost: (_, failure) => failure && fail(failure),
    },
    { memory: tabStore, ...options },
  );
  const stop = (): void => fail(options.signal?.reason);
  options.signal?.addEventListener('abort', stop);
  try {
    await Promise.race([line.open(), over]);
    line.start(await Promise.race([within(TOKEN_MS, tokenOf(getToken)), over.then(never)]));
    return await within(RESULT_MS, over);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    line.close();
  }
}

function receive(message: GatewayMessage, { speaking }: CheckOptions, done: (report: CheckReport) => void): void {
  if (message.type === 'check-ready') speaking?.(message.seconds);
  else if (message.type === 'check-result') done(message);
}

async function tokenOf(getToken: () => Promise<MediaToken>): Promise<MediaToken> {
  try {
    return await getToken();
  } catch (error) {
    throw asCallerError(error, 'token_unavailable');
  }
}

/** There is no report before the line is open. */
function never(): never {
  throw new CallerError('protocol_error');
}
