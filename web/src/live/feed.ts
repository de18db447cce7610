/** Keeps a live feed open: resumes where it was, and waits longer after each failure. */

import type { News } from './contract';
import { Refusal, identity, refusalOf } from './requests';
import { StreamParser } from './sse';

const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 15_000;
/** The longest time that the gateway may ask for. */
const RETRY_AFTER_MS_MAX = 60_000;
/** The feed says something every 15 s at least: two of those may be late. */
const SILENCE_MS_MAX = 40_000;
/** A connection that is cut off sooner also waits longer the next time. */
const STEADY_MS = 10_000;

/** How the connection is. */
export type Connection =
  | { phase: 'connecting' }
  | { phase: 'live' }
  /** `status` is the answer's, 0 where there was none. */
  | { phase: 'waiting'; untilMs: number; status: number }
  | { phase: 'ended'; code: string };

/** What the feed needs of the browser; another in tests. */
export interface World {
  fetch(address: string, options: RequestInit): Promise<Response>;
  now(): number;
  random(): number;
  after(milliseconds: number, act: () => void): () => void;
}

/** The browser itself. */
export const browser: World = {
  fetch: (address, options) => fetch(new URL(address, document.baseURI), options),
  now: () => Date.now(),
  random: () => Math.random(),
  after: (milliseconds, act) => {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** What listeners are notified of. */
export interface Listener {
  news(type: string, news: News): void;
  connection(connection: Connection): void;
}

export class Feed {
  #request: AbortController | undefined;
  #dropTimer = (): void => {};
  #failures = 0;
  #lastId = '';
  #isStopped = false;

  /** `key` is undefined for somebody who is signed in. */
  constructor(
    private readonly address: string,
    private readonly key: string | undefined,
    private readonly listener: Listener,
    private readonly world: World = browser,
  ) {}

  /** Connect, now: where it waits, it waits no longer. */
  readonly connect = (): void => {
    if (this.#request || this.#isStopped) return;
    this.#dropTimer();
    this.listener.connection({ phase: 'connecting' });
    void this.#run((this.#request = new AbortController()));
  };

  /** Close for good. */
  stop(): void {
    this.#isStopped = true;
    this.#dropTimer();
    this.#request?.abort();
  }

  async #run(request: AbortController): Promise<void> {
    const beganMs = this.world.now();
    let failure: Refusal | undefined;
    let code: string | undefined;
    try {
      code = await this.#read(request);
    } catch (error) {
      failure = error instanceof Refusal ? error : new Refusal(0);
      // What cannot be read is not gone on from.
      if (!(error instanceof Refusal)) this.#lastId = '';
    }
    request.abort();
    this.#dropTimer();
    this.#request = undefined;
    if (this.#isStopped) return;
    code ??= failure && codeOf(failure);
    if (code !== undefined) {
      this.#isStopped = true;
      this.listener.connection({ phase: 'ended', code });
      return;
    }
    if (this.world.now() - beganMs >= STEADY_MS) this.#failures = 0;
    this.#wait(failure);
  }

  /** Return the code with which the gateway has ended the feed; undefined where it was cut off. */
  async #read(request: AbortController): Promise<string | undefined> {
    const { credentials, headers } = identity(this.key);
    headers.Accept = 'text/event-stream';
    if (this.#lastId) headers['Last-Event-ID'] = this.#lastId;
    this.#watch(request);
    const { signal } = request;
    const response = await this.world
      .fetch(this.address, { headers, credentials, signal, cache: 'no-store' })
      .catch(() => {
        throw new Refusal(0);
      });
    if (!response.ok || !response.body) throw await refusalOf(response);
    const parser = new StreamParser(this.#lastId);
    const reader = response.body.getReader();
    this.listener.connection({ phase: 'live' });
    for (;;) {
      // A connection that breaks is gone on from, other than one whose events are no good.
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done || this.#isStopped || !value) return undefined;
      this.#watch(request);
      for (const { type, data, id } of parser.push(value)) {
        const news = JSON.parse(data);
        if (type === 'end') return String(news.code);
        this.listener.news(type, news);
        this.#lastId = id;
      }
    }
  }

  #watch(request: AbortController): void {
    this.#dropTimer();
    this.#dropTimer = this.world.after(SILENCE_MS_MAX, () => request.abort());
  }

  #wait(failure: Refusal | undefined): void {
    const wait = waitMs(this.#failures++, failure, this.world.random());
    this.listener.connection({ phase: 'waiting', untilMs: this.world.now() + wait, status: failure?.status ?? 0 });
    this.#dropTimer = this.world.after(wait, this.connect);
  }
}

/** Return how long to wait after so many failures; `random` is in [0, 1). */
export function waitMs(failures: number, failure: Refusal | undefined, random: number): number {
  const step = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** failures);
  const asked = Math.min((failure?.retryAfterS ?? 0) * 1000, RETRY_AFTER_MS_MAX);
  // So that those who were cut off together do not all come back together.
  return Math.max(step, asked) * (1 + random / 4);
}

/** Return the code of a refusal that waiting does not change; undefined for others. */
export function codeOf({ status, code }: Refusal): string | undefined {
  // No matter what is wrong with it, another key or a sign-in helps.
  if (status === 401) return 'unauthorized';
  const isFinal = status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429;
  return isFinal ? code || 'other' : undefined;
}
