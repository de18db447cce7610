/** Which calls the table shows, in which order, and what it says of each that goes on by itself. Pure. */

import { grouped } from '../number';
import type { Row, State, Tag } from './contract';
import { country } from './format';

/** Rows of one page of the table. */
export const PAGE_ROWS = 50;

/** What the table can be sorted by. */
export type Column = keyof typeof KEYS;

/** What the reader asks for. */
export interface Query {
  text: string;
  /** `long`: only calls that last and go on. */
  state: State | 'long' | '';
  tag: Tag | '';
  column: Column;
  descending: boolean;
  /** The first is 0. */
  page: number;
}

/** What is shown at first: the newest calls. */
export const NEWEST: Query = { text: '', state: '', tag: '', column: 'created_at', descending: true, page: 0 };

/** The shown part of the calls. */
export interface Chosen {
  rows: Row[];
  total: number;
  page: number;
  pages: number;
}

/** In the order of a call's life. */
export const STATES = ['connecting', 'ringing', 'answered', 'held', 'ending', 'ended', 'lost'] as const satisfies State[];

type Sortable = string | number | null;

const KEYS = {
  state: (row) => STATES.indexOf(row.state),
  destination: (row) => row.destination,
  country: (row) => country(row.country),
  account_id: (row) => row.account_id,
  node: (row) => row.node,
  created_at: (row) => Date.parse(row.created_at),
  seconds: (row, nowMs) => secondsOf(row, nowMs) ?? null,
  cost_micros: (row, nowMs) => costOf(row, nowMs).micros,
  mos: (row) => row.mos,
  rtt_ms: (row) => row.rtt_ms,
  loss_percent: (row) => row.loss_percent,
  jitter_ms: (row) => row.jitter_ms,
  tags: (row) => row.tags.length,
  path: (row) => row.path || null,
} satisfies Record<string, (row: Row, nowMs: number) => Sortable>;

/** In the order in which they are shown. */
export const MEASURED = ['mos', 'rtt_ms', 'loss_percent', 'jitter_ms'] as const satisfies Measured[];

/** Whether the call is over for the viewer. */
export function isOver(row: Row): boolean {
  return row.state === 'ended' || row.state === 'lost';
}

/** Return the seconds since the call was answered, at the server's time; undefined before. */
export function secondsOf(row: Row, nowMs: number): number | undefined {
  if (row.answered_at === null) return undefined;
  // Nothing is known of a lost call but what its node said last.
  if (row.state === 'lost') return row.seconds;
  const end = row.ended_at === null ? nowMs : Date.parse(row.ended_at);
  return Math.max(0, Math.floor((end - Date.parse(row.answered_at)) / 1000));
}

/**
 * Return what the call has cost. While it goes on, the seconds since its last charge are added at its price per minute:
 * its increments are not known here, so that this is an estimate and is marked as one.
 */
export function costOf(row: Row, nowMs: number): { micros: number; isEstimated: boolean } {
  const since = isOver(row) ? 0 : Math.max(0, (secondsOf(row, nowMs) ?? 0) - row.seconds);
  const micros = row.cost_micros + Math.round((row.per_minute_micros * since) / 60);
  return { micros, isEstimated: since > 0 && row.per_minute_micros > 0 };
}

/** Whether the call has lasted so many minutes and goes on. */
export function isLong(row: Row, nowMs: number, minutes: number): boolean {
  return !isOver(row) && (secondsOf(row, nowMs) ?? 0) >= minutes * 60;
}

/** Return what a value of quality is worth, for its mark beside the figure; undefined where nothing is known. */
export function levelOf(column: Measured, value: number | null): Level | undefined {
  if (value === null) return undefined;
  const [fair, poor] = LIMITS[column];
  const isWorse = (limit: number): boolean => (column === 'mos' ? value < limit : value > limit);
  return isWorse(poor) ? 'poor' : isWorse(fair) ? 'fair' : 'good';
}

export type Level = 'good' | 'fair' | 'poor';

/** What is measured of a call that is worth something. */
export type Measured = keyof typeof LIMITS;

/** Beyond the first value fair, beyond the second poor. */
const LIMITS = {
  // ITU-T G.107, Annex B: satisfied above, many dissatisfied below.
  mos: [4.03, 3.6],
  // ITU-T G.114: a one-way delay of 150 ms is good; 400 ms there and back is what high_latency tags.
  rtt_ms: [300, 400],
  loss_percent: [1, 3],
  jitter_ms: [20, 30],
} as const;

/** Return the rows of a page; one beyond the last becomes the last. A call is long from `longMinutes`. */
export function choose(rows: Iterable<Row>, query: Query, nowMs: number, longMinutes: number): Chosen {
  const matches = matching(query, (row) => isLong(row, nowMs, longMinutes));
  const found: Row[] = [];
  for (const row of rows) if (matches(row)) found.push(row);
  const pages = Math.max(1, Math.ceil(found.length / PAGE_ROWS));
  const page = Math.min(query.page, pages - 1);
  const first = firstOf(found, query, nowMs, (page + 1) * PAGE_ROWS);
  return { rows: first.slice(page * PAGE_ROWS), total: found.length, page, pages };
}

interface Keyed {
  key: Sortable;
  row: Row;
}

/**
 * Return the first rows in order, at most `limit`. Thousands of rows are looked at twice a second to show fifty: most of
 * them are beyond the last place, and are compared only with it.
 */
function firstOf(rows: readonly Row[], query: Query, nowMs: number, limit: number): Row[] {
  const key: (row: Row, nowMs: number) => Sortable = KEYS[query.column];
  const sign = query.descending ? -1 : 1;
  // What has no value comes last in either order.
  const isBefore = (a: Sortable, b: Sortable): boolean => a !== null && (b === null || (sign > 0 ? a < b : a > b));
  const first: Keyed[] = [];
  for (const row of rows) {
    const own = key(row, nowMs);
    if (first.length >= limit && !isBefore(own, first[first.length - 1].key)) continue;
    let [low, high] = [0, first.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(own, first[middle].key)) high = middle;
      else low = middle + 1;
    }
    first.splice(low, 0, { key: own, row });
    if (first.length > limit) first.pop();
  }
  return first.map(({ row }) => row);
}

function matching({ text, state, tag }: Query, lasts: (row: Row) => boolean): (row: Row) => boolean {
  const wanted = text.trim().toLowerCase();
  // A number as it is written: +1 (415) 555-2671.
  const digits = /^[+\d\s().-]+$/.test(wanted) ? wanted.replace(/[^+\d]/g, '') : '';
  const hasText = (row: Row): boolean =>
    (digits !== '' && row.destination.includes(digits)) ||
    [row.id, row.account_id, row.node, row.country, country(row.country)].some((each) => each.toLowerCase().includes(wanted));
  const hasState = state === 'long' ? lasts : (row: Row): boolean => !state || row.state === state;
  return (row) =>
    hasState(row) && (!tag || row.tags.includes(tag)) && (!wanted || hasText(row));
}

/** Return the number in groups. */
export function numberOf(row: Row): string {
  return grouped(row.destination);
}
