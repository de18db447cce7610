/**
 * The page's end of the socket worker. Knows messages and closes, no audio.
 */

import type { AudioPorts, FromWorker, ToWorker } from '../audio/ports';
import type { ClientMessage, FirstMessage, GatewayMessage } from '../wire';
import { asCallerError, unreachable } from './error';
import type { CallerError } from './error';

/** File name of the built worker, and where this is built for: put in by the build. */
declare const SOCKET_WORKER_FILE: string;
declare const BUILT_FOR: 'page' | 'gateway' | 'package';

/** How long a worker may take to load. */
const LOAD_MS = 10_000;

export interface SocketEvents {
  message: (message: GatewayMessage) => void;
  roundTrip: (ms: number) => void;
  /** Once for each opening: the socket's close code. */
  closed: (code: number) => void;
  /** The worker could not be loaded, or broke. */
  failed: (failure: CallerError) => void;
}

export class MediaSocket {
  readonly #worker = startWorker();

  constructor(private readonly events: SocketEvents) {
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#take(data);
    // HTML 10.2.4: a script that cannot be fetched is a plain event, one that throws an ErrorEvent.
    this.#worker.onerror = (event: Event) =>
      this.events.failed(event instanceof ErrorEvent ? asCallerError(event) : unreachable());
  }

  /** Connect and say this first; `ready` or a close follows. May be called again after a close. */
  open(url: string, first: FirstMessage): void {
    this.#post({ kind: 'open', url, first });
  }

  /** Take the audio from and to these worklets. */
  attach({ uplink, downlink }: AudioPorts): void {
    this.#post({ kind: 'attach', uplink, downlink }, [uplink, downlink]);
  }

  /** Find out soon whether the connection still stands. */
  probe(): void {
    this.#post({ kind: 'probe' });
  }

  send(message: ClientMessage): void {
    this.#post({ kind: 'send', message });
  }

  /** Close the socket and end the worker. */
  close(): void {
    this.#worker.onmessage = this.#worker.onerror = null;
    this.#post({ kind: 'close' });
    // Time for the close frame to leave; a terminated worker drops its socket without one.
    window.setTimeout(() => this.#worker.terminate(), 500);
  }

  #take(data: FromWorker): void {
    if (data.kind === 'message') this.events.message(data.message);
    else if (data.kind === 'round-trip') this.events.roundTrip(data.ms);
    else this.events.closed(data.code);
  }

  #post(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}

/** Pages may start no worker of another origin, but a blob of their own that loads one (HTML 10.2.6.3). */
function startWorker(): Worker {
  const url = new URL(SOCKET_WORKER_FILE, import.meta.url);
  if (BUILT_FOR === 'page' || url.origin === location.origin) return new Worker(url);
  const own = URL.createObjectURL(new Blob([`importScripts(${JSON.stringify(url.href)})`], { type: 'text/javascript' }));
  // Not at once: not every browser has read it by the time the constructor returns.
  window.setTimeout(() => URL.revokeObjectURL(own), LOAD_MS);
  return new Worker(own);
}

/** Return the socket's address on this origin, whatever name the gateway knows itself by; as it is without one. */
export function mediaAddress(mediaUrl: string, origin: string | undefined): string {
  if (!origin) return mediaUrl;
  const url = new URL(new URL(mediaUrl).pathname, origin);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
