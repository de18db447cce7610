/**
 * Draws when the button takes calls again. Loaded where it takes none, for no call may wait for that; draws what it is
 * given and decides nothing.
 */

import { button, h } from './dom';
import type { Status } from './embed-api';
import type { Actions, View } from './views';
import { t } from './words';

/** Draw when the button takes calls again: on the visitor's clock, and on the owner's. */
export function closed({ opens_at: opensAt, zone, hours }: Status, { again }: Actions): View {
  const at = opensAt ? new Date(opensAt) : undefined;
  const week = hours.flatMap((spans, day) => [h('dt', {}, weekday(day)), h('dd', {}, spansOf(spans))]);
  const [here, there] = at ? [moment(at), moment(at, zone)] : [];
  return [
    h('p', {}, at ? t('opensAt', { time: here as string }) : t('opensNever')),
    there !== here && h('p', { className: 'muted small' }, t('opensAtToo', { time: there as string, zone: place(zone) })),
    h('h2', {}, t('hoursIn', { zone: place(zone) })),
    h('dl', { className: 'hours small' }, ...week),
    button(t('tryAgain'), again),
  ];
}

function spansOf(spans: Status['hours'][number]): string {
  const times = spans.map(([start, end]) => (end - start === 1440 ? t('dayOpen') : `${minute(start)}\u2060–\u2060${minute(end)}`));
  return times.join(', ') || t('dayClosed');
}

/** Europe/Berlin -> Berlin; UTC. */
function place(zone: string): string {
  return zone.split('/').pop()?.replace(/_/g, ' ') ?? zone;
}

/** Return a moment as people of the language write it, on the wall of a zone or, without one, of the visitor. */
function moment(at: Date, timeZone?: string): string {
  return format(at, { weekday: 'long', day: 'numeric', month: 'long', hour: 'numeric', minute: '2-digit' }, timeZone);
}

/** Return the name of a day of the week, 0 for Monday. */
function weekday(day: number): string {
  // The first of January 2024 was a Monday.
  return format(new Date(Date.UTC(2024, 0, 1 + day)), { weekday: 'short' }, 'UTC');
}

/** Return a minute of the day as on a wall. */
function minute(of: number): string {
  return format(new Date(Date.UTC(2024, 0, 1, 0, of)), { hour: 'numeric', minute: '2-digit' }, 'UTC');
}

function format(at: Date, options: Intl.DateTimeFormatOptions, timeZone?: string): string {
  return new Intl.DateTimeFormat(document.documentElement.lang, timeZone ? { ...options, timeZone } : options).format(at);
}
