/**
 * The frame's end of what it and the loader say to each other. Speaks with its parent alone, and with no other origin
 * than the one it was opened by, which no page can forge: the browser tells it.
 */

import { CallerError } from '../../sdk/core';
import { VERSION } from '../protocol';
import type { Ended, FromFrame, SignedToken, ToFrame } from '../protocol';
import { signedCodeOf } from './problem';

/** How long the owner's back end may take to sign a call. */
const SIGN_MS = 8000;

export class Host {
  /** Origin of the page around this one; empty where there is none. */
  readonly origin = this.isThere ? opener() : '';
  #signed: (answer: SignedToken) => void = () => {};

  /** Called when the page around the frame wants the call ended. */
  hangUp: () => void = () => {};

  /** Returns what would be reported if the call ended now, while there is one. */
  now: () => Ended | undefined = () => undefined;

  constructor() {
    if (this.isThere) window.addEventListener('message', this.#receive);
  }

  /** Whether there is a page around this one. */
  get isThere(): boolean {
    return window.parent !== window;
  }

  tell(message: FromFrame): void {
    if (this.origin) window.parent.postMessage({ ...message, now: this.now(), caller: VERSION }, this.origin);
  }

  /**
   * Ask for the token of a call that the owner signs, and for what says that a person makes it; empty where there is
   * none. Throws CallerError if it was refused.
   */
  async sign(): Promise<{ token: string; human: string }> {
    if (!this.origin) return { token: '', human: '' };
    const answer = new Promise<SignedToken>((resolve) => {
      this.#signed = resolve;
      window.setTimeout(resolve, SIGN_MS, {});
    });
    this.tell({ type: 'sign' });
    const { token, code, human } = await answer;
    if (!token && code) throw new CallerError('request_refused', { code: signedCodeOf(textOf(code)) });
    return { token: textOf(token), human: textOf(human) };
  }

  readonly #receive = ({ data, origin, source }: MessageEvent<(ToFrame & { caller?: unknown }) | null>): void => {
    if (source !== window.parent || origin !== this.origin || data?.caller !== VERSION) return;
    if (data.type === 'hang-up') this.hangUp();
    else if (data.type === 'token') this.#signed(data.token ?? {});
  };
}

/** Return the origin of the page around this one; empty if the browser does not say, or it has none (HTML, 7.1.1). */
function opener(): string {
  const [origin = ''] = /^https?:\/\/[^/]+/.exec(location.ancestorOrigins?.[0] ?? document.referrer) ?? [];
  return origin;
}

/** Messages of a page are read as the type that they should be, and nothing more. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
