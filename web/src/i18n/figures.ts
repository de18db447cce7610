/** Amounts, times and failures in the reader's language. Loaded with the parts that say them. */

import type { CallerError, Money } from '../sdk/core';
import { known } from '.';
import { locale } from './language';

/** Return an amount that is paid or left, in the whole minor units it holds: $5.00, and $4.99 for $4.999. */
export function money({ micros, currency }: Money): string {
  const unit = 10 ** (6 - minorDigits(currency));
  return inCurrency(currency).format((Math.floor(micros / unit) * unit) / 1e6);
}

/** Return what calls cost, always with two digits more, so that a running cost keeps its width: $0.0130. */
export function price({ micros, currency }: Money): string {
  return inCurrency(currency, Math.min(minorDigits(currency) + 2, 4)).format(micros / 1e6);
}

/** Return how many digits the currency has after the decimal separator (ISO 4217). */
function minorDigits(currency: string): number {
  return inCurrency(currency).resolvedOptions().maximumFractionDigits ?? 2;
}

function inCurrency(currency: string, minimumFractionDigits?: number): Intl.NumberFormat {
  const digits = { minimumFractionDigits, maximumFractionDigits: minimumFractionDigits };
  return new Intl.NumberFormat(locale, { style: 'currency', currency, ...digits });
}

/** Return an instant in the reader's zone: the time today, the day as well before. */
export function when(rfc3339: string, now: Date): string {
  const at = new Date(rfc3339);
  const today = at.toDateString() === now.toDateString();
  const day = today ? {} : ({ day: 'numeric', month: 'short' } as const);
  return new Intl.DateTimeFormat(locale, { ...day, hour: 'numeric', minute: '2-digit' }).format(at);
}

/** Return what failed, and what to do next. */
export function failureInWords({ kind, problem, title, action }: CallerError): [string, string] {
  const own = `failure.${kind}`;
  const refusal = `problem.${problem?.code}`;
  return [
    known(refusal) ?? problem?.detail ?? problem?.title ?? known(own) ?? title,
    known(`${refusal}.next`) ?? problem?.action ?? known(`${own}.next`) ?? action,
  ];
}
