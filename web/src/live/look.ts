/** What the live page's parts share in looks, beside the phone's theme. */

import { css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { costOf, levelOf } from './call-list';
import type { Level, Measured } from './call-list';
import type { Row, State } from './contract';
import { decimal, money, percent } from './format';
import { words } from './words';

export const look = css`
  a {
    color: var(--accent);
  }
  button {
    min-width: 0;
    padding: 0 var(--space-3);
    border-color: var(--line);
    background: var(--card);
  }
  select,
  input {
    min-width: 0;
    min-height: var(--target);
    padding: 0 var(--space-2);
    border: 1px solid var(--muted);
    border-radius: var(--radius-s);
    background: var(--card);
    color: inherit;
    font: inherit;
  }
  h2 {
    margin-block-end: var(--space-2);
  }
  .field {
    display: grid;
    gap: var(--space-1);
    font-size: var(--letters-s);
    font-weight: 600;
  }
  .card {
    padding: var(--space-4);
    border-radius: var(--radius-m);
  }
  .stack {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--space-4);
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--space-2) var(--space-3);
  }
  .end {
    margin-inline-start: auto;
  }
  .hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .scroll {
    position: relative;
    overflow-x: auto;
  }
  /* A shade at the edge tells that there is more; what moves along covers it where there is none. */
  .card .scroll {
    background:
      linear-gradient(var(--card) 0 0) right / 8px no-repeat local,
      linear-gradient(to left, var(--muted), transparent) right / 8px no-repeat;
  }
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: var(--letters-s);
    font-variant-numeric: tabular-nums;
  }
  caption {
    text-align: start;
  }
  th,
  td {
    padding: 6px;
    border-block-end: 1px solid var(--line);
    text-align: start;
    white-space: nowrap;
  }
  th {
    font-weight: 600;
  }
  th button {
    min-width: 24px;
    min-height: 32px;
    padding: 0;
    border: 0;
    background: none;
    font-weight: 600;
    text-align: inherit;
  }
  th button:hover {
    background: none;
    text-decoration: underline;
  }
  .n {
    text-align: end;
  }
  .dim {
    color: var(--muted);
  }
  .good {
    color: var(--go);
  }
  .fair,
  .poor,
  .bad {
    color: var(--stop);
    font-weight: 600;
  }
  .fair {
    font-weight: 400;
  }
  rect {
    fill: var(--accent);
    stroke: none;
  }
  .track {
    fill: var(--soft-strong);
  }
  @media (forced-colors: active) {
    rect {
      fill: CanvasText;
    }
    .track {
      fill: Canvas;
    }
  }
`;

/** What shows the order that a column is sorted in. */
export const ARROWS = { none: '', ascending: '\u00a0↑', descending: '\u00a0↓' } as const;

/** Filled according to a call's progress, so that states differ without colours. */
const STATE_MARKS: Record<State, string> = {
  connecting: '○',
  ringing: '◔',
  answered: '●',
  held: '◑',
  ending: '◌',
  ended: '✓',
  lost: '✕',
};

const LEVEL_MARKS: Record<Level, string> = { good: '●', fair: '▲', poor: '■' };

/** Return a state as a shape and in a word. */
export function stateOf(state: State): TemplateResult {
  const look = state === 'answered' ? 'good' : state === 'lost' ? 'bad' : '';
  return html`<span class=${look}><span aria-hidden="true">${STATE_MARKS[state]}</span> ${words.states[state]}</span>`;
}

const whole = (value: number): string => decimal(value, 0);

const WRITTEN: Record<Measured, (value: number) => string> = {
  mos: (value) => decimal(value, 2),
  rtt_ms: whole,
  loss_percent: percent,
  jitter_ms: whole,
};

/** Return a measurement of a call with its mark: a shape, and a word for screen readers. */
export function quality(row: Row, column: Measured): TemplateResult {
  const value = row[column];
  const level = levelOf(column, value);
  if (!level || value === null) return html`${words.none}`;
  const text = WRITTEN[column](value);
  const word = words.levels[level];
  return html`<span class=${level} title=${word}
    ><span aria-hidden="true">${LEVEL_MARKS[level]}</span> ${text}<span class="hidden"> (${word})</span></span
  >`;
}

/** Return what a call has cost so far; what is estimated is marked. */
export function costs(row: Row, nowMs: number): TemplateResult {
  const { micros, isEstimated } = costOf(row, nowMs);
  const amount = row.currency ? money(micros, row.currency) : words.none;
  return html`<span title=${isEstimated ? words.estimated : nothing}>${isEstimated ? '≈ ' : ''}${amount}</span>`;
}

/** Return a bar that is filled so far; what it says stands beside it. */
export function bar(share: number): TemplateResult {
  return html`<svg width="100%" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" width="100" height="10" /><rect width=${Math.min(100, share * 100)} height="10" />
  </svg>`;
}

/** Dispatch an event that leaves all shadow trees. */
export function fire(element: HTMLElement, name: string, detail: object): void {
  element.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
}

/** Return what `aria-sort` says of a column. */
export function sorted(isThis: boolean, descending: boolean): 'none' | 'ascending' | 'descending' {
  return isThis ? (descending ? 'descending' : 'ascending') : 'none';
}
