/**
 * Starts the media connection on a thread of its own, or on the page's where the browser lets the page have no worker:
 * the policy of somebody else's page may forbid it, and its bundler may have left the file out.
 */

import { mediaConnection } from '../audio/media-connection';
import type { FromConnection, FromWorker, ToConnection } from '../audio/ports';
import { asCallerError, unreachable } from './error';
import type { CallerError } from './error';
import { startWorker } from './own-files';

/** Where this is built for, put in by the build. */
declare const BUILT_FOR: 'page' | 'gateway' | 'package';

/** How long a worker may take to run; what the page has to say waits as long. */
const UP_MS = 3000;

/** Time for the close frame to leave; a terminated worker drops its socket without one. */
const CLOSE_MS = 500;

export interface Connection {
  post: (message: ToConnection) => void;
  /** Close the socket; it reports nothing more. */
  close: () => void;
}

type Take = (message: FromConnection) => void;

/** Start it; `take` gets what it says, `failed` why its worker broke. */
export const startConnection = BUILT_FOR === 'page' ? inWorker : whereItCan;

function whereItCan(take: Take, failed: (why: CallerError) => void): Connection {
  let connection: Connection | undefined;
  let isClosed = false;
  const waiting: ToConnection[] = [];
  void runningWorker().then((worker) => {
    connection = worker ? inWorker(take, failed, worker) : onPage(take);
    for (const message of waiting) connection.post(message);
    if (isClosed) connection.close();
  });
  return {
    post: (message) => (connection ? connection.post(message) : void waiting.push(message)),
    close: () => {
      isClosed = true;
      connection?.close();
    },
  };
}

function inWorker(take: Take, failed: (why: CallerError) => void, worker = startWorker()): Connection {
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => data.kind === 'up' || take(data);
  // HTML 10.2.4: a script that cannot be fetched is a plain event, one that throws an ErrorEvent.
  worker.onerror = (event: Event) => failed(event instanceof ErrorEvent ? asCallerError(event) : unreachable());
  return {
    post: (message) => worker.postMessage(message, message.kind === 'attach' ? [message.uplink, message.downlink] : []),
    close: () => {
      worker.onmessage = worker.onerror = null;
      worker.postMessage({ kind: 'close' } satisfies ToConnection);
      window.setTimeout(() => worker.terminate(), CLOSE_MS);
    },
  };
}

/** On the page's thread, where a busy page delays the audio: what the jitter buffers at both ends cannot make up for. */
function onPage(take: Take): Connection {
  let isClosed = false;
  const ask = mediaConnection((message) => isClosed || take(message));
  return {
    post: ask,
    close: () => {
      isClosed = true;
      ask({ kind: 'close' });
    },
  };
}

/** Whether this page may try to have a worker: one that failed does so each time. */
let mayTry = true;

/** Return a worker that runs; none where the page cannot have one. */
async function runningWorker(): Promise<Worker | undefined> {
  let worker: Worker | undefined;
  try {
    if (mayTry) worker = startWorker();
    if (worker && (await isUp(worker))) return worker;
  } catch {
    // A policy, or an address of another origin (HTML 10.2.6.3).
  }
  mayTry = false;
  worker?.terminate();
  return undefined;
}

function isUp(worker: Worker): Promise<boolean> {
  return new Promise((resolve) => {
    worker.onmessage = () => resolve(true);
    worker.onerror = () => resolve(false);
    window.setTimeout(() => resolve(false), UP_MS);
  });
}

/** Return the socket's address on this origin, even if the gateway knows itself by another name; unchanged without one. */
export function mediaAddress(mediaUrl: string, origin: string | undefined): string {
  if (!origin) return mediaUrl;
  const url = new URL(new URL(mediaUrl).pathname, origin);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
