/**
 * Owns the media socket. Audio goes between worklet and socket through this alone; the page gets the messages and how
 * the socket closed, and may open another. Runs in a worker, or on the page's own thread.
 */

import { parseMessage } from '../wire';
import type { ClientMessage, FirstMessage } from '../wire';
import { FRAME_SAMPLES } from './format';
import type { AudioPorts, FromConnection, ToConnection } from './ports';

/** Most that may wait unsent: 300 ms of audio. A frame that would wait longer is worth nothing. */
const UNSENT_BYTES_MAX = 15 * FRAME_SAMPLES;

const PING_MS = 2000;

/** Silence of the gateway after which the connection counts as lost: three unanswered pings. */
const SILENCE_MS_MAX = 6500;

/** How long a connection may take, and how long one in doubt has to answer. */
const CONNECT_MS_MAX = 4000;
const PROBE_MS = 1500;

/** RFC 6455 7.4.1: the peer vanished without a close. */
const CLOSED_ABNORMALLY = 1006;

/** Sockets given up for lost. One that is closed, or collected, would tell the gateway that it was meant. */
const abandoned = new Set<WebSocket>();

/** Return what does as the page asks; `post` gets what comes of it. */
export function mediaConnection(post: (message: FromConnection) => void): (message: ToConnection) => void {
  let socket: WebSocket | undefined;
  let downlink: MessagePort | undefined;
  let ready = false;
  let lastHeardAt = 0;
  let pingedAt = 0;
  let pingId = 0;
  let pinger = 0;

  function open(url: string, first: FirstMessage): void {
    const opened = new WebSocket(url);
    socket = opened;
    opened.binaryType = 'arraybuffer';
    const impatience = self.setTimeout(() => finish(opened, CLOSED_ABNORMALLY), CONNECT_MS_MAX);
    opened.onopen = () => {
      self.clearTimeout(impatience);
      send(first);
      lastHeardAt = performance.now();
      pinger = self.setInterval(ping, PING_MS);
    };
    opened.onmessage = receive;
    opened.onclose = ({ code }) => {
      self.clearTimeout(impatience);
      finish(opened, code);
    };
  }

  /** Take the worklets' ends of the audio; again when the page had to rebuild its audio context. */
  function attach(ports: AudioPorts): void {
    downlink = ports.downlink;
    ports.uplink.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      if (ready && socket && socket.bufferedAmount <= UNSENT_BYTES_MAX) socket.send(data);
    };
  }

  function receive({ data }: MessageEvent<ArrayBuffer | string>): void {
    lastHeardAt = performance.now();
    if (typeof data !== 'string') {
      downlink?.postMessage(data, [data]);
      return;
    }
    const message = parseMessage(data);
    if (message?.type === 'pong') {
      if (message.id === pingId) post({ kind: 'round-trip', ms: lastHeardAt - pingedAt });
    } else if (message) {
      ready ||= /^(check-|supervision-)?ready$/.test(message.type);
      post({ kind: 'message', message });
    }
  }

  function send(message: ClientMessage): void {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function ping(): void {
    const now = performance.now();
    if (socket && now - lastHeardAt > SILENCE_MS_MAX) {
      finish(socket, CLOSED_ABNORMALLY);
      return;
    }
    pingedAt = now;
    send({ type: 'ping', id: ++pingId });
  }

  /** Find out soon whether the connection still stands. */
  function probe(): void {
    const probed = socket;
    const askedAt = performance.now();
    ping();
    self.setTimeout(() => {
      if (probed && lastHeardAt < askedAt) finish(probed, CLOSED_ABNORMALLY);
    }, PROBE_MS);
  }

  function finish(finished: WebSocket, code: number): void {
    finished.onclose = finished.onmessage = null;
    if (finished.readyState === WebSocket.CONNECTING) finished.close();
    else abandon(finished);
    if (finished !== socket) return;
    socket = undefined;
    ready = false;
    self.clearInterval(pinger);
    post({ kind: 'closed', code });
  }

  return (message) => {
    if (message.kind === 'open') open(message.url, message.first);
    else if (message.kind === 'attach') attach(message);
    else if (message.kind === 'send') send(message.message);
    else if (message.kind === 'probe') probe();
    else socket?.close(1000);
  };
}

function abandon(lost: WebSocket): void {
  if (lost.readyState !== WebSocket.OPEN) return;
  abandoned.add(lost);
  lost.onclose = () => abandoned.delete(lost);
}
