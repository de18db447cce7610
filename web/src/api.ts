/**
 * The gateway's REST interface, as far as this page uses it.
 */

import type { KeyAccess, Quote, QuoteRefusal } from './answers';
import { refusalOf, unreachable } from './sdk/core';
import type { CallToken } from './sdk/core';

const TIMEOUT_MS = 10_000;

interface Options {
  method?: 'PUT';
  headers?: Record<string, string>;
  timeoutMs?: number;
}

export class Api {
  /** Whose account is shown: another may be signed in with this browser by now, and is not to pay for what is done here. */
  #shownTo: string | undefined;

  /**
   * Without a key the browser's cookie identifies the person who is signed in. `reached` is called whenever the
   * gateway has done what it was asked for.
   */
  constructor(
    readonly key: string | undefined,
    private readonly reached: () => void = () => {},
  ) {}

  /** Whose account is shown, once `access` has told. */
  get account(): string | undefined {
    return this.#shownTo;
  }

  /** Ask for the one-use token of a call. Throws CallerError. */
  callToken(destination: string): Promise<CallToken> {
    return this.json('v1/call-tokens', { destination, codec: 'pcmu', origin: location.origin });
  }

  /** Ask what a call would cost, or why it may not be placed; undefined where that cannot be said. */
  async quote(destination: string): Promise<Quote | QuoteRefusal | undefined> {
    try {
      return await this.json<Quote | QuoteRefusal>('v1/quotes', { destination });
    } catch {
      return undefined;
    }
  }

  /** Read what the key is. Throws CallerError. */
  async access(): Promise<KeyAccess> {
    const access = await this.json<KeyAccess>('v1/key');
    this.#shownTo ??= access.account;
    return access;
  }

  /** Read a resource, or post to it if there is a body. Throws CallerError. */
  async json<T>(path: string, body?: object, options?: Options): Promise<T> {
    const response = await this.#fetch(path, body, options);
    if (response.ok) {
      this.reached();
      return response.json() as Promise<T>;
    }
    throw await refusalOf(response);
  }

  async #fetch(path: string, body?: object, options: Options = {}): Promise<Response> {
    const headers = new Headers({ Accept: 'application/json', ...options.headers });
    if (this.key) headers.set('Authorization', `Bearer ${this.key}`);
    else if (this.#shownTo) headers.set('Caller-Account', this.#shownTo);
    if (body) headers.set('Content-Type', 'application/json');
    try {
      return await fetch(new URL(path, document.baseURI), {
        method: options.method ?? (body ? 'POST' : 'GET'),
        headers,
        cache: 'no-store',
        // Never both: the gateway refuses a key beside a cookie. Without a key the cookie goes along by itself.
        credentials: this.key ? 'omit' : 'same-origin',
        signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch {
      throw unreachable();
    }
  }
}
