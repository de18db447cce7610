/** The figures of all calls together: what each is called, what it means and how it is written. Pure. */

import type { Totals } from './contract';
import { decimal, duration, money, ms, percent } from './format';
import { words } from './words';

/** One of the overview's figures. */
export interface Figure {
  label: string;
  /** What it means, in one sentence. */
  meaning: string;
  /** Return what is drawn; null where there is nothing to say. */
  of(totals: Totals): number | null;
  /** Return what is written. */
  text(totals: Totals): string;
}

type Name = keyof typeof words.figures;

const figure = (name: Name, of: Figure['of'], text: (value: number, totals: Totals) => string): Figure => {
  const [label, meaning] = words.figures[name];
  return {
    label,
    meaning,
    of,
    text: (totals) => {
      const value = of(totals);
      return value === null ? words.none : text(value, totals);
    },
  };
};

/** In the order in which they are shown. */
export const figures: readonly Figure[] = [
  figure('calls', (totals) => totals.calls, (value) => decimal(value, 0)),
  figure('begun', (totals) => totals.begun_per_minute, (value) => decimal(value, value % 1 && value < 10 ? 1 : 0)),
  figure('spend', spendOf, (_, { spend_micros_per_minute: spend }) => {
    return Object.entries(spend).map(([currency, micros]) => money(micros, currency, 2)).join(' + ') || words.nothing;
  }),
  figure('asr', (totals) => totals.asr_percent, percent),
  figure('acd', (totals) => totals.acd_s, duration),
  figure('pdd', (totals) => totals.pdd_ms, ms),
  figure('rtt', (totals) => totals.rtt_p95_ms, ms),
  figure('mos', (totals) => totals.mos, (value) => decimal(value, 2)),
  figure('talk', (totals) => totals.talk_percent, (value) => `${Math.round(value)} / ${100 - Math.round(value)} %`),
];

/** Return the spend in the currency in which most is spent: amounts of several cannot be added. */
function spendOf({ spend_micros_per_minute: spend }: Totals): number {
  return Math.max(0, ...Object.values(spend)) / 1e6;
}
