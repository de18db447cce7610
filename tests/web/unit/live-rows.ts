/** Rows and events as the feed says them. */

import type { News, Row, Totals } from '../../../web/src/live/contract';

/** 2026-11-20T11:00:00Z, in milliseconds. */
export const NOW_MS = Date.UTC(2026, 10, 20, 11);

/** Return the time so many seconds after. */
export function at(seconds: number): string {
  return new Date(NOW_MS + seconds * 1000).toISOString();
}

/** Return an answered call, with what differs. */
export function row(id: string, differs: Partial<Row> = {}): Row {
  return {
    id,
    node: 'node-a',
    account_id: 'acc_1',
    key_id: 'key_1',
    destination: '+14155552671',
    country: 'US',
    prefix: '+1',
    origin: '',
    state: 'answered',
    created_at: at(-70),
    ringing_at: at(-65),
    answered_at: at(-60),
    ended_at: null,
    seconds: 60,
    cost_micros: 13_000,
    currency: 'USD',
    per_minute_micros: 13_000,
    cause: null,
    cause_name: '',
    ended_by: '',
    path: 'webrtc',
    pdd_ms: 5000,
    mos: 4.2,
    rtt_ms: 80,
    jitter_ms: 3,
    loss_percent: 0,
    tags: [],
    ...differs,
  };
}

/** Return what is said of so many calls together. */
export function totals(calls: number): Totals {
  return {
    calls,
    by_state: { answered: calls },
    begun_per_minute: 1,
    spend_micros_per_minute: { USD: 13_000 * calls },
    asr_percent: 60,
    acd_s: 90,
    pdd_ms: null,
    rtt_p95_ms: 120,
    mos: 4.1,
    talk_percent: 70,
    durations: [0, 0, 0, calls, 0, 0, 0, 0],
    countries: [],
  };
}

/** Return an event's data. */
export function news(differs: Partial<News> = {}): News {
  return { at: at(0), ...differs };
}
