/** How long the credit of accounts with live calls lasts, out of the calls that are known. Pure. */

import { isOver } from './call-list';
import type { Row } from './contract';
import type { CreditReport } from './report-contract';

/** Accounts that are listed; of no more is the credit known. */
export const LISTED_MAX = 100;

/** Below so many seconds, it is nearly used up. */
const [FAIR_S, POOR_S] = [300, 60];

/** What an account's live calls come to. */
export interface Left {
  account_id: string;
  currency: string;
  calls: number;
  perMinuteMicros: number;
  /** Null where it is not known. */
  balanceMicros: number | null;
  /** Null where it is not known, or nothing is spent. */
  lastsS: number | null;
}

/** Return all accounts with live calls, those whose credit lasts least first; then those that spend most. */
export function leftOf(rows: Iterable<Row>, report: CreditReport | undefined, nowMs: number): Left[] {
  const found = new Map<string, Left>();
  for (const row of rows) {
    if (isOver(row)) continue;
    let left = found.get(row.account_id);
    if (!left) {
      left = { account_id: row.account_id, currency: row.currency, calls: 0, perMinuteMicros: 0, balanceMicros: null, lastsS: null };
      found.set(row.account_id, left);
    }
    left.calls++;
    if (row.state !== 'answered' && row.state !== 'held') continue;
    left.perMinuteMicros += row.per_minute_micros;
    left.currency = row.currency;
  }
  for (const { account_id, balance } of report?.accounts ?? []) {
    const left = found.get(account_id);
    if (!left) continue;
    left.balanceMicros = balance.micros;
    left.currency = balance.currency;
    if (left.perMinuteMicros <= 0) continue;
    // It has been spent on since it was read.
    const sinceS = Math.max(0, nowMs - Date.parse(report!.at)) / 1000;
    left.lastsS = Math.max(0, Math.floor((Math.max(0, balance.micros) * 60) / left.perMinuteMicros - sinceS));
  }
  return [...found.values()].sort(
    (a, b) => (a.lastsS ?? Infinity) - (b.lastsS ?? Infinity) || b.perMinuteMicros - a.perMinuteMicros || (a.account_id < b.account_id ? -1 : 1),
  );
}

/** Return what the time that a credit lasts is worth, for its mark; undefined where it is long enough. */
export function levelOf(seconds: number): 'fair' | 'poor' | undefined {
  return seconds < POOR_S ? 'poor' : seconds < FAIR_S ? 'fair' : undefined;
}
