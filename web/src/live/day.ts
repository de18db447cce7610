/** The last day of all calls, minute by minute, as operators may ask for it. Pure. */

import { Timeline } from './board';
import type { Minute, Totals } from './contract';
import { figures } from './figures';

const MINUTES = 1440;

/** A minute without a row is a gap. */
const GAP_S = 90;

/** Return the figures of the overview over the day; `minutes` are in order. */
export function dayOf(minutes: readonly Minute[]): Timeline {
  const day = new Timeline(figures.length, MINUTES, GAP_S);
  for (const minute of minutes) {
    const totals = { ...minute, begun_per_minute: minute.begun } as unknown as Totals;
    day.push(Date.parse(minute.at), figures.map((figure) => figure.of(totals)));
  }
  return day;
}
