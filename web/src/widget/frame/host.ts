/**
 * The frame's end of what it and the loader say to each other. Speaks with its parent alone, and with no other origin
 * than the one it was opened by, which no page can forge: the browser tells it. Knows no call.
 */

import { VERSION } from '../protocol';
import type { FromFrame, ToFrame } from '../protocol';

/** How long the owner's back end may take to sign a call. */
const SIGN_MS = 8000;

export class Host {
  /** Origin of the page around this one; empty where there is none. */
  readonly origin = this.isThere ? opener() : '';
  #signed: (token?: string) => void = () => {};

  /** Called when the page around the frame wants the call ended. */
  hangUp: () => void = () => {};

  constructor() {
    if (this.isThere) window.addEventListener('message', this.#receive);
  }

  /** Whether there is a page around this one. */
  get isThere(): boolean {
    return window.parent !== window;
  }

  tell(message: FromFrame): void {
    if (this.origin) window.parent.postMessage({ ...message, caller: VERSION }, this.origin);
  }

  /** Ask for the token of a call that the owner signs; undefined where it is not signed. */
  async sign(): Promise<string | undefined> {
    if (!this.origin) return undefined;
    const signed = new Promise<string | undefined>((resolve) => {
      this.#signed = resolve;
      window.setTimeout(resolve, SIGN_MS);
    });
    this.tell({ type: 'sign' });
    return signed;
  }

  readonly #receive = ({ data, origin, source }: MessageEvent<(ToFrame & { caller?: unknown }) | null>): void => {
    if (source !== window.parent || origin !== this.origin || data?.caller !== VERSION) return;
    if (data.type === 'hang-up') this.hangUp();
    else if (data.type === 'token') this.#signed(textOf(data.token?.token));
  };
}

/** Return the origin of the page around this one; empty if the browser does not say, or it has none (HTML, 7.1.1). */
function opener(): string {
  const [origin = ''] = /^https?:\/\/[^/]+/.exec(location.ancestorOrigins?.[0] ?? document.referrer) ?? [];
  return origin;
}

/** Whatever a page sends is read as what it should be, and nothing more. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
