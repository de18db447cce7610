/**
 * The page's end of the media connection. Knows messages and closes, no audio.
 */

import type { AudioPorts, FromWorker } from '../audio/ports';
import type { ClientMessage, FirstMessage, GatewayMessage } from '../wire';
import type { CallerError } from './error';
import { startConnection } from './socket-thread';

export interface SocketEvents {
  message: (message: GatewayMessage) => void;
  roundTrip: (ms: number) => void;
  /** Once for each opening: the socket's close code. */
  closed: (code: number) => void;
  /** The connection could not be loaded, or broke. */
  failed: (failure: CallerError) => void;
}

export class MediaSocket {
  readonly #connection;

  constructor(private readonly events: SocketEvents) {
    this.#connection = startConnection((message) => this.#take(message), events.failed);
  }

  /** Connect and say this first; `ready` or a close follows. May be called again after a close. */
  open(url: string, first: FirstMessage): void {
    this.#connection.post({ kind: 'open', url, first });
  }

  /** Take the audio from and to these worklets. */
  attach({ uplink, downlink }: AudioPorts): void {
    this.#connection.post({ kind: 'attach', uplink, downlink }, [uplink, downlink]);
  }

  /** Find out soon whether the connection still stands. */
  probe(): void {
    this.#connection.post({ kind: 'probe' });
  }

  send(message: ClientMessage): void {
    this.#connection.post({ kind: 'send', message });
  }

  /** Close the socket; nothing is told of it any more. */
  close(): void {
    this.#connection.close();
  }

  #take(data: FromWorker): void {
    if (data.kind === 'message') this.events.message(data.message);
    else if (data.kind === 'round-trip') this.events.roundTrip(data.ms);
    else if (data.kind === 'closed') this.events.closed(data.code);
  }
}

/** Return the socket's address on this origin, whatever name the gateway knows itself by; as it is without one. */
export function mediaAddress(mediaUrl: string, origin: string | undefined): string {
  if (!origin) return mediaUrl;
  const url = new URL(new URL(mediaUrl).pathname, origin);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
