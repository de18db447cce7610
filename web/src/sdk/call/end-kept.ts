/**
 * Ends a call that the page before this one left, on the gateway that has it: takes it up by a socket of its own and
 * hangs up.
 */

import type { ClientMessage, Ending } from '../wire';
import { WIRE_VERSION, parseMessage } from '../wire';
import { unreachable } from './error';
import { dropCall } from './tab-store';
import type { KeptCall } from './tab-store';

const END_MS = 6000;

/** Requests while a call is being ended wait for the same result. */
let ending: { callId: string; done: Promise<Ending | undefined> } | undefined;

/** End the call; return how it ended, or undefined if the gateway had it no more. Throws CallerError: try again. */
export function endKept(call: KeptCall): Promise<Ending | undefined> {
  if (ending?.callId !== call.callId) {
    ending = { callId: call.callId, done: end(call).finally(() => (ending = undefined)) };
  }
  return ending.done;
}

async function end({ callId, account, token, mediaUrl }: KeptCall): Promise<Ending | undefined> {
  const socket = new WebSocket(mediaUrl);
  const say = (message: ClientMessage): void => socket.send(JSON.stringify(message));
  let timer = 0;
  try {
    const how = await new Promise<Ending | undefined>((resolve, reject) => {
      const fail = (): void => reject(unreachable());
      timer = window.setTimeout(fail, END_MS);
      socket.onopen = () => say({ type: 'resume', version: WIRE_VERSION, call_id: callId, token });
      // 1008: the gateway has no such call any more.
      socket.onclose = ({ code }) => (code === 1008 ? resolve(undefined) : fail());
      socket.onmessage = ({ data }: MessageEvent<unknown>) => {
        const message = typeof data === 'string' ? parseMessage(data) : undefined;
        if (message?.type === 'ready') say({ type: 'hangup' });
        else if (message?.type === 'disconnect' || message?.type === 'cancel') resolve(message);
      };
    });
    dropCall(account);
    return how;
  } finally {
    window.clearTimeout(timer);
    socket.onclose = null;
    socket.close(1000);
  }
}
