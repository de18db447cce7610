/** The order of countries and their prefixes, and what is left of a country beside those shown. Pure. */

import type { Country, Health } from './contract';

export type Column = 'country' | keyof Health;

/** Return rows by a column; what is not known comes as the least. */
export function byFigure<Row extends Health>(rows: readonly Row[], column: Column, descending: boolean, name: (row: Row) => string): Row[] {
  const sign = descending ? -1 : 1;
  const value = (row: Row): string | number => (column === 'country' ? name(row) : (row[column] ?? -1));
  return [...rows].sort((a, b) => (value(a) < value(b) ? -sign : value(a) > value(b) ? sign : 0));
}

/** Return the calls of a country that none of its shown prefixes has; undefined where these have all. */
export function restOf({ prefixes, ...all }: Country): Health | undefined {
  const left = (column: 'calls' | 'attempts' | 'failed'): number => prefixes.reduce((rest, part) => rest - part[column], all[column]);
  const [calls, attempts, failed] = [left('calls'), left('attempts'), left('failed')];
  // A share or a median of some of them does not follow from those of all.
  return calls || attempts ? { calls, attempts, failed, asr_percent: null, pdd_ms: null, mos: null } : undefined;
}
