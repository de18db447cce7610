/**
 * Holds who is watching, with which rights, what there is to see, and whether it is paused. Notifies the page of changes.
 */

import { answerOffer, brought, dropKey, offerOwn, offeredKey, storedKey, takeKey } from '../api-key';
import { Board } from './board';
import type { Timeline } from './board';
import { numberOf } from './call-list';
import type { Minute, News, Row } from './contract';
import { dayOf } from './day';
import { Feed, browser, codeOf, waitMs } from './feed';
import type { Connection } from './feed';
import { Refusal, ask } from './requests';
import type { Order } from './requests';
import { words } from './words';

const OPERATORS = 'v1/admin/';
const HOLDERS = 'v1/';
const DAY_EVERY_MS = 60_000;

export class Watching {
  board = new Board();
  connection: Connection = { phase: 'connecting' };
  /** Undefined for somebody who is signed in. */
  key: string | undefined;
  isOperator = false;
  /** Whether calls may be listened to, where their account allows it. */
  maySupervise = false;
  /** What is shown while the view is held still, and the time it shows. */
  held: { board: Board; nowMs: number } | undefined;
  /** A link has brought a key while an account's calls are already shown: the viewer decides. */
  isAsked = false;
  /** The last day of all calls, while an operator wants to see it. */
  day: Timeline | undefined;

  #feed: Feed | undefined;
  #dropTimer = (): void => {};
  #dayTimer: ReturnType<typeof setInterval> | undefined;
  #failures = 0;
  /** Counts the beginnings: the answer to an earlier one is no longer wanted. */
  #begun = 0;

  constructor(private readonly changed: () => void) {}

  /** Take what the address brings, and begin. */
  readonly begin = async (): Promise<void> => {
    takeKey();
    const key = storedKey();
    if (offeredKey() !== undefined) this.isAsked = true;
    else if (brought && key && (await isSignedIn())) {
      offerOwn();
      this.isAsked = true;
    }
    await this.open();
  };

  /** Take the key that a link has brought, or leave it. */
  answer(accepted: boolean): void {
    answerOffer(accepted);
    this.isAsked = false;
    void this.open();
  }

  /** Show only the calls of the account that is signed in. */
  forgetKey(): void {
    dropKey();
    void this.open();
  }

  /** Say that what was given as a key cannot be one. */
  refuseKey(): void {
    this.#begun++;
    this.stop();
    this.#tell({ phase: 'ended', code: 'not_a_key' });
  }

  /** Start again with the current credentials. */
  async open(): Promise<void> {
    const begun = ++this.#begun;
    this.stop();
    const key = storedKey();
    if (key !== this.key) this.board = new Board();
    this.key = key;
    this.#tell({ phase: 'connecting' });
    try {
      const { scopes } = (await ask(key, 'v1/key')) as { scopes: string[] };
      if (begun !== this.#begun) return;
      this.isOperator = scopes.includes('admin');
      this.maySupervise = this.isOperator || scopes.includes('supervise');
      this.#failures = 0;
      this.#feed = new Feed(this.feedAddress(), key, { news: this.#take, connection: this.#tell });
      this.#feed.connect();
    } catch (error) {
      if (begun === this.#begun) this.#wait(error instanceof Refusal ? error : new Refusal(0));
    }
  }

  /** Where the feed is; of one call, if there is an id. */
  feedAddress(callId?: string): string {
    const address = `${this.#part}live-feed`;
    return callId === undefined ? address : `${address}?call=${encodeURIComponent(callId)}`;
  }

  /** Close the feed. */
  stop(): void {
    this.#dropTimer();
    this.#feed?.stop();
    this.#feed = undefined;
  }

  /** Try again, now. */
  readonly retry = (): void => {
    if (this.connection.phase !== 'waiting') return;
    if (this.#feed) this.#feed.connect();
    else void this.open();
  };

  /** The time that is shown. */
  get nowMs(): number {
    return this.board.timeMs(Date.now(), this.connection.phase === 'live');
  }

  /** Hold the view still, or let it go on. */
  pause(): void {
    this.held = this.held ? undefined : { board: this.board.copy(), nowMs: this.nowMs };
    this.changed();
  }

  /** Ask for the last day, now and each minute, or no more. */
  wantDay(isWanted: boolean): void {
    clearInterval(this.#dayTimer);
    this.day = undefined;
    this.changed();
    if (!isWanted) return;
    this.#dayTimer = setInterval(() => void this.#askForDay(), DAY_EVERY_MS);
    void this.#askForDay();
  }

  async #askForDay(): Promise<void> {
    const asked = this.#dayTimer;
    // What is shown stays where nothing is answered: the feed tells that there is no connection.
    const { minutes } = ((await ask(this.key, `${OPERATORS}live-history`).catch(() => undefined)) ?? {}) as { minutes?: Minute[] };
    if (!minutes || asked !== this.#dayTimer) return;
    this.day = dayOf(minutes);
    this.changed();
  }

  /** Ask for the reports of operators. They throw Refusal. */
  readonly reports = {
    fraud: (): Promise<unknown> => ask(this.key, `${OPERATORS}fraud`),
    credit: (): Promise<unknown> => ask(this.key, `${OPERATORS}credit`),
  };

  /** Do something with the viewer's rights. Throws Refusal. */
  async give(order: Order): Promise<void> {
    const { path, method = 'POST', body } = order;
    await ask(this.key, path, method, body);
    order.taken?.();
  }

  /** Return what ends a call; operators say why. */
  ending(row: Row, reason: string): Order {
    const id = encodeURIComponent(row.id);
    const done = words.ended(numberOf(row));
    return this.isOperator
      ? { path: `${OPERATORS}live-calls/${id}/end`, body: { reason }, done }
      : { path: `${HOLDERS}calls/${id}`, method: 'DELETE', done };
  }

  get #part(): string {
    return this.isOperator ? OPERATORS : HOLDERS;
  }

  readonly #take = (type: string, news: News): void => {
    this.board.take(type, news, Date.now());
    this.changed();
  };

  readonly #tell = (connection: Connection): void => {
    const isKeyRefused = this.key !== undefined && connection.phase === 'ended' && connection.code === 'unauthorized';
    this.connection = isKeyRefused ? { phase: 'ended', code: 'key_refused' } : connection;
    this.changed();
  };

  #wait(failure: Refusal): void {
    const code = codeOf(failure);
    if (code !== undefined) return this.#tell({ phase: 'ended', code });
    const wait = waitMs(this.#failures++, failure, Math.random());
    this.#tell({ phase: 'waiting', untilMs: Date.now() + wait, status: failure.status });
    this.#dropTimer = browser.after(wait, () => void this.open());
  }
}

async function isSignedIn(): Promise<boolean> {
  return ask(undefined, 'v1/key').then(
    () => true,
    () => false,
  );
}
