/**
 * Owns the media socket. Audio goes between worklet and socket through this worker alone; the page gets the
 * messages and how the socket closed. Knows no microphone and no page.
 */

import { WIRE_VERSION, parseMessage } from '../wire';
import type { ClientMessage } from '../wire';
import { FRAME_SAMPLES } from './format';
import type { AudioPorts, FromWorker, ToWorker } from './ports';

/** Most that may wait unsent: 300 ms of audio. A frame that would wait longer is worth nothing. */
const UNSENT_BYTES_MAX = 15 * FRAME_SAMPLES;

const PING_MS = 2000;

/** Silence of the gateway after which the connection counts as lost: five unanswered pings. */
const SILENCE_MS_MAX = 10_000;

/** RFC 6455 7.4.1: the peer vanished without a close. */
const CLOSED_ABNORMALLY = 1006;

let socket: WebSocket | undefined;
let downlink: MessagePort | undefined;
let ready = false;
let lastHeardAt = 0;
let pingedAt = 0;
let pingId = 0;
let pinger = 0;

const post = (message: FromWorker): void => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === 'open') open(data.url, data.token, data);
  else if (data.kind === 'reconnect') connect(data);
  else if (data.kind === 'send') send(data.message);
  else close(1000);
};

function open(url: string, token: string, ports: AudioPorts): void {
  connect(ports);
  const opened = new WebSocket(url);
  socket = opened;
  opened.binaryType = 'arraybuffer';
  opened.onopen = () => {
    send({ type: 'start', version: WIRE_VERSION, token });
    lastHeardAt = performance.now();
    pinger = self.setInterval(ping, PING_MS);
  };
  opened.onmessage = receive;
  opened.onclose = (event) => finish(event.code);
}

/** Take the worklets' ends of the audio; again when the page had to rebuild its audio context. */
function connect(ports: AudioPorts): void {
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
    ready ||= message.type === 'ready';
    post({ kind: 'message', message });
  }
}

function send(message: ClientMessage): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function ping(): void {
  const now = performance.now();
  if (now - lastHeardAt > SILENCE_MS_MAX) {
    // A dead network answers no close handshake either: report it now.
    finish(CLOSED_ABNORMALLY);
    return;
  }
  pingedAt = now;
  send({ type: 'ping', id: ++pingId });
}

function close(code: number): void {
  socket?.close(code);
}

function finish(code: number): void {
  if (!socket) return;
  socket.onclose = socket.onmessage = null;
  socket.close();
  socket = undefined;
  self.clearInterval(pinger);
  post({ kind: 'closed', code });
}
