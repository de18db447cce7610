/** Everything this page knows about the calls, assembled from the feed's events. Pure. */

import type { Alarm, FleetNode, News, Row, Sample, Totals, Warning } from './contract';
import { figures } from './figures';

/** Seconds of totals that are drawn. */
export const TOTALS_MAX = 600;

/** Seconds of one call that are drawn. */
export const SAMPLES_MAX = 3600;

export const WARNINGS_MAX = 256;

/** How long what nodes were told counts for more than what the feed says of them, which follows within three seconds. */
const TOLD_MS = 5000;

/** A line is not drawn across as many seconds of which nothing was heard. */
const GAP_S = 5;

type Value = number | null;

/** Values by the second, the oldest forgotten first. */
export class Timeline {
  /** Seconds since the epoch, rising. */
  readonly at: number[] = [];
  readonly values: Value[][];

  /** `steps` are how many are kept, and `gapS` is how far apart two may be that one line joins. */
  constructor(
    width: number,
    private readonly steps: number,
    private readonly gapS = GAP_S,
  ) {
    this.values = Array.from({ length: width }, () => []);
  }

  /** Take the values of a second; those of the same second or of one before replace the last. */
  push(atMs: number, values: readonly Value[]): void {
    const at = Math.floor(atMs / 1000);
    const last = this.at.at(-1) ?? -Infinity;
    if (at <= last) {
      values.forEach((value, which) => (this.values[which][this.at.length - 1] = value));
      return;
    }
    if (last > 0 && at - last > this.gapS) this.#add(last + 1, values.map(() => null));
    this.#add(at, values);
  }

  /** Take the last values again, up to this second: they have been the same since. */
  hold(untilMs: number): void {
    const until = Math.floor(untilMs / 1000);
    if (until > (this.at.at(-1) ?? Infinity)) this.#add(until, this.values.map((column) => column[column.length - 1]));
  }

  #add(at: number, values: readonly Value[]): void {
    this.at.push(at);
    values.forEach((value, which) => this.values[which].push(value));
    if (this.at.length <= this.steps) return;
    this.at.shift();
    for (const column of this.values) column.shift();
  }

  /** Return another with the same values, which goes on by itself. */
  copy(): Timeline {
    const other = new Timeline(this.values.length, this.steps, this.gapS);
    other.at.push(...this.at);
    this.values.forEach((column, which) => other.values[which].push(...column));
    return other;
  }
}

/** Columns of a call's timeline. */
export const SAMPLED = [
  'mos',
  'rtt_ms',
  'jitter_ms',
  'backlog_ms',
  'loss_percent',
  'caller_dbov',
  'phone_dbov',
  'cost_micros',
] as const satisfies readonly (keyof Sample)[];

export class Board {
  readonly rows = new Map<string, Row>();
  totals: Totals | undefined;
  nodes: readonly FleetNode[] = [];
  /** The oldest first. */
  alarms: readonly Alarm[] = [];
  /** The newest last. */
  warnings: readonly Warning[] = [];
  history = new Timeline(figures.length, TOTALS_MAX);
  samples = new Timeline(SAMPLED.length, SAMPLES_MAX);
  audience: News['audience'];
  /** Rows that have come or gone since the page was opened. */
  changes = 0;
  /** What the server's clock is ahead of this one's, in milliseconds. */
  aheadMs = 0;
  /** When something was heard last, by this machine's clock; 0 before. */
  heardMs = 0;

  /** What this page has told nodes, by their names: whether to drain, and when. */
  readonly #told = new Map<string, [isDraining: boolean, atMs: number]>();

  /** Take an event of the feed that has come at `nowMs`. */
  take(type: string, news: News, nowMs: number): void {
    const isWhole = type === 'snapshot';
    if (!isWhole && type !== 'delta') return;
    const at = Date.parse(news.at);
    // Once a connection: what is late in one event makes the clock of every call jump.
    if (isWhole || !this.heardMs) this.aheadMs = at - nowMs;
    this.heardMs = nowMs;
    if (isWhole) this.#forget(news);
    this.#takeRows(news);
    if (news.totals) {
      // A feed that goes on tells them only when they change.
      if (!isWhole) this.history.hold(at - 1000);
      this.totals = news.totals;
      this.history.push(at, figures.map((figure) => figure.of(news.totals as Totals)));
    }
    if (news.nodes) this.#takeNodes(news.nodes, nowMs);
    if (news.alarms) this.alarms = news.alarms;
    if (news.warnings?.length) this.warnings = [...this.warnings, ...news.warnings].slice(-WARNINGS_MAX);
    for (const sample of news.samples ?? []) this.#takeSample(sample);
  }

  /** Count at once that a node was told, at `nowMs`, to take no new calls, or to take them again. */
  tell(node: string, isDraining: boolean, nowMs: number): void {
    this.#told.set(node, [isDraining, nowMs]);
    this.#takeNodes(this.nodes, nowMs);
  }

  /** Return how many alarms are not acknowledged. */
  get raised(): number {
    return this.alarms.filter(({ state }) => state === 'raised').length;
  }

  /** Return the server's time; without a connection the time of what is shown, since live calls are unknown. */
  timeMs(nowMs: number, isLive: boolean): number {
    return (isLive ? nowMs : this.heardMs) + this.aheadMs;
  }

  /** Return a board that stays as this one is now. */
  copy(): Board {
    const own = { rows: new Map(this.rows), history: this.history.copy(), samples: this.samples.copy() };
    return Object.assign(new Board(), this, own);
  }

  #forget(news: News): void {
    this.audience = news.audience;
    this.warnings = [];
    // One call stays as it ended, though the feed knows it no more.
    if (news.audience !== 'call') this.rows.clear();
  }

  #takeNodes(nodes: readonly FleetNode[], nowMs: number): void {
    this.nodes = nodes.map((node) => {
      const [is_draining, atMs] = this.#told.get(node.node) ?? [false, -Infinity];
      return nowMs - atMs < TOLD_MS ? { ...node, is_draining } : node;
    });
  }

  #takeRows({ calls = [], gone = [] }: News): void {
    for (const row of calls) this.rows.set(row.id, row);
    if (this.audience !== 'call') for (const id of gone) this.rows.delete(id);
    this.changes += calls.length + gone.length;
  }

  #takeSample(sample: Sample): void {
    const at = Date.parse(sample.at);
    // A snapshot says the last two minutes again.
    if (Math.floor(at / 1000) > (this.samples.at.at(-1) ?? 0)) this.samples.push(at, SAMPLED.map((name) => sample[name]));
  }
}
