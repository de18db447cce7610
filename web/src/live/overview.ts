/** All calls together: figures with what they have been since the page was opened, and durations. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { Timeline } from './board';
import type { Board } from './board';
import { STATES } from './call-list';
import { DURATION_BOUNDS } from './contract';
import type { Totals } from './contract';
import './countries';
import { figures } from './figures';
import { decimal, duration } from './format';
import { bar, fire, look } from './look';
import './sparkline';
import { words } from './words';

const NOTHING = new Timeline(figures.length, 0);

export class Overview extends LitElement {
  static override properties = fields('board', 'nowMs', 'day', 'hasDay', 'isWall', 'isDay');
  static override styles = [
    theme,
    look,
    css`
      .figures {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr));
        gap: var(--space-3);
      }
      .halves {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
        gap: var(--space-3);
        align-items: start;
      }
      summary,
      .label {
        min-height: 24px;
        color: var(--muted);
        font-size: var(--letters-s);
        cursor: pointer;
      }
      .label {
        cursor: default;
      }
      details p {
        font-size: var(--letters-s);
      }
      .value {
        font-size: var(--letters-xl);
        font-weight: 650;
        font-variant-numeric: tabular-nums;
        overflow-wrap: anywhere;
      }
      .bars td:nth-child(2) {
        width: 60%;
      }
      /* For a screen across the room: letters grow with it. */
      .wall .value {
        font-size: clamp(1.75rem, 2.4vw, 5rem);
        line-height: 1.3;
      }
      .wall .label,
      .wall table,
      .wall h2 {
        font-size: clamp(var(--letters-m), 1.2vw, 2rem);
      }
      :host {
        container-type: inline-size;
      }
      @container (min-width: 1000px) {
        .wall .figures {
          grid-template-columns: repeat(5, minmax(0, 1fr));
        }
      }
    `,
  ];

  declare board: Board;
  declare nowMs: number;
  /** The last day, once it is there. */
  declare day: Timeline | undefined;
  /** Whether it can be asked for. */
  declare hasDay: boolean;
  declare isWall: boolean;
  /** Whether figures are shown over the last day, and not since the page was opened. Fires `day`. */
  declare isDay: boolean;

  constructor() {
    super();
    this.isWall = false;
    this.isDay = false;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { totals } = this.board;
    if (!totals) return nothing;
    return html`<div class="stack ${this.isWall ? 'wall' : ''}">
      <div class="row">${states(totals)} ${this.hasDay && !this.isWall ? this.#span() : nothing}</div>
      <div class="figures">${figures.map((_, which) => this.#figure(which, totals))}</div>
      <div class="halves">
        ${this.#durations(totals)}
        <live-countries .countries=${totals.countries} .isWall=${this.isWall}></live-countries>
      </div>
    </div>`;
  }

  #span(): TemplateResult {
    return html`<button type="button" aria-pressed=${this.isDay} @click=${this.#turn}>${words.lastDay}</button>`;
  }

  readonly #turn = (): void => {
    this.isDay = !this.isDay;
    fire(this, 'day', { isDay: this.isDay });
  };

  #figure(which: number, totals: Totals): TemplateResult {
    const { label, meaning, text } = figures[which];
    const timeline = (this.isDay ? this.day : this.board.history) ?? NOTHING;
    return html`<section class="card">
      ${this.isWall
        ? html`<p class="label">${label}</p>`
        : html`<details><summary>${label}</summary><p>${meaning}</p></details>`}
      <p class="value">${text(totals)}</p>
      <live-sparkline
        .timeline=${timeline}
        .column=${which}
        .label=${this.isDay ? words.overDay(label) : words.sinceOpened(label)}
        .lastAt=${timeline.at.at(-1)}
      ></live-sparkline>
    </section>`;
  }

  #durations({ durations }: Totals): TemplateResult {
    const most = Math.max(1, ...durations);
    return html`<section class="card">
      <h2>${words.durations}</h2>
      <table class="bars">
        <thead class="hidden"><tr><th>${words.columns.seconds}</th><td></td><th>${words.count}</th></tr></thead>
        <tbody>
          ${durations.map((count, which) => {
            return html`<tr><th scope="row">${BOUNDS[which]}</th><td>${bar(count / most)}</td><td class="n">${decimal(count, 0)}</td></tr>`;
          })}
        </tbody>
      </table>
    </section>`;
  }
}

/** Return how many calls are in which state, in one line. */
function states({ by_state: counts }: Totals): TemplateResult | typeof nothing {
  const shown = STATES.filter((state) => counts[state]).map((state) => `${decimal(counts[state] ?? 0, 0)} ${words.states[state]}`);
  return shown.length ? html`<p class="states label">${shown.join(' · ')}</p>` : nothing;
}

const BOUNDS = [
  ...DURATION_BOUNDS.map((bound) => words.durationBelow(duration(bound))),
  words.durationAbove(duration(DURATION_BOUNDS[DURATION_BOUNDS.length - 1])),
];

customElements.define('live-overview', Overview);
