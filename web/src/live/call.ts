/** One call, with what is measured of it each second. Stays as it was when the call has ended. Fires `end-call`. */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { causes as english } from '../../../gateway/words/en/endings';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { Board, SAMPLED } from './board';
import { MEASURED, isOver, numberOf, secondsOf } from './call-list';
import { words } from './call-words';
import './chart';
import type { Line } from './chart';
import type { Row } from './contract';
import { clock, country, decimal, duration, instant, money, ms } from './format';
import { Feed } from './feed';
import type { Connection } from './feed';
import { entryOf, spoken } from './language';
import { costs, fire, look, quality, stateOf } from './look';
import { words as common } from './words';

type Sampled = (typeof SAMPLED)[number];

const causes = spoken('causes', english);

const DASHES = [undefined, [7, 4], [2, 3]];
const COLORS = ['accent', 'go', 'stop'];

const CHARTS = ([
  ['mos', ['mos']],
  ['delays', ['rtt_ms', 'jitter_ms', 'backlog_ms']],
  ['loss', ['loss_percent']],
  ['levels', ['caller_dbov', 'phone_dbov']],
  ['cost', ['cost_micros']],
] as [keyof typeof words.charts, Sampled[]][]).map(([name, columns]) => {
  return { label: words.charts[name], lines: columns.map(lineOf) };
});

export class CallView extends LitElement {
  static override properties = fields('address', 'key', 'isOperator', 'maySupervise', 'isHeld', 'board', 'connection');
  static override styles = [
    theme,
    look,
    css`
      .charts {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
        gap: var(--space-3);
      }
      dl {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr));
        gap: var(--space-3);
      }
      dt {
        color: var(--muted);
        font-size: var(--letters-s);
      }
      dd {
        overflow-wrap: anywhere;
      }
      ol {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        padding-block: var(--space-1);
      }
      h2 {
        margin: 0;
        overflow-wrap: anywhere;
      }
      h3 {
        margin: 0;
        font-size: var(--letters-s);
        font-weight: 600;
      }
      .back {
        display: inline-block;
        padding-block: var(--space-2);
      }
    `,
  ];

  /** Of the call's own feed; empty for a board that is given. */
  declare address: string;
  declare key: string | undefined;
  declare isOperator: boolean;
  declare maySupervise: boolean;
  declare isHeld: boolean;
  declare board: Board;
  declare connection: Connection;

  #feed: Feed | undefined;
  /** What ends the call, where it had the focus. */
  #end: HTMLElement | undefined;
  #tick: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.board = new Board();
    this.address = '';
    this.isOperator = this.maySupervise = this.isHeld = false;
    this.connection = { phase: 'connecting' };
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#tick = setInterval(() => this.requestUpdate(), 1000);
    this.#watch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#tick);
    this.#feed?.stop();
  }

  protected override shouldUpdate(): boolean {
    return !this.isHeld;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('address') && this.hasUpdated) this.#watch();
  }

  /** If the focus disappeared with its button, it moves to the heading. */
  protected override updated(): void {
    const button = this.#end;
    if (!button || document.activeElement !== document.body) return;
    this.#end = undefined;
    if (!button.isConnected) this.renderRoot.querySelector<HTMLElement>('[tabindex]')?.focus();
  }

  #watch(): void {
    this.#feed?.stop();
    if (!this.address) return;
    this.board = new Board();
    this.#feed = new Feed(this.address, this.key, {
      news: (type, news) => this.board.take(type, news, Date.now()),
      connection: (connection) => (this.connection = connection),
    });
    this.#feed.connect();
  }

  protected override render(): TemplateResult {
    const [row] = this.board.rows.values();
    return html`<div class="stack">
      <a class="back" href="#/calls">← ${words.back}</a>
      ${row ? this.#call(row) : this.#none()}
    </div>`;
  }

  #none(): TemplateResult | typeof nothing {
    const isKnown = this.board.heardMs > 0 || this.connection.phase === 'ended';
    return isKnown ? html`<section class="card"><p>${words.callGone}</p></section>` : nothing;
  }

  #call(row: Row): TemplateResult {
    const { samples } = this.board;
    const number = numberOf(row);
    return html`<section class="card stack">
        <div class="row">
          <h2 tabindex="-1">${words.callTo(number)}</h2>
          <span>${stateOf(row.state)}</span>
          ${isOver(row)
            ? nothing
            : html`<button type="button" class="danger end" @focus=${this.#keep} @click=${() => fire(this, 'end-call', row)}>${common.endCall}</button>`}
        </div>
        ${row.state === 'lost' ? html`<p>${words.lostMeaning}</p>` : nothing}
        <dl>${this.#facts(row)}</dl>
        ${this.key || this.isOperator ? nothing : html`<a href="account/calls/${encodeURIComponent(row.id)}">${words.record}</a>`}
      </section>
      ${this.maySupervise
        ? html`<live-supervision .row=${row} .key=${this.key} .isOperator=${this.isOperator}></live-supervision>`
        : nothing}
      <section class="card"><h2>${words.events}</h2><ol>${events(row)}</ol></section>
      ${samples.at.length
        ? html`<div class="charts">
            ${CHARTS.map(({ label, lines }) => {
              return html`<section class="card">
                <h3>${label}</h3>
                <live-chart
                  .timeline=${samples}
                  .lines=${lines}
                  .label=${label}
                  .lastAt=${samples.at.at(-1)}
                ></live-chart>
              </section>`;
            })}
          </div>`
        : html`<p class="muted">${words.noSamples}</p>`}`;
  }

  readonly #keep = ({ target }: FocusEvent): void => {
    this.#end = target as HTMLElement;
  };

  #facts(row: Row): TemplateResult[] {
    const nowMs = this.board.timeMs(Date.now(), this.connection.phase === 'live');
    const seconds = secondsOf(row, nowMs);
    const { columns: names } = common;
    const facts: [string, unknown][] = [
      [names.seconds, seconds === undefined ? common.none : duration(seconds)],
      [names.cost_micros, costs(row, nowMs)],
      [words.price, row.currency ? money(row.per_minute_micros, row.currency) : common.none],
      ...MEASURED.map((column): [string, unknown] => [names[column], quality(row, column)]),
      [names.tags, row.tags.map((tag) => common.tags[tag]).join(', ') || common.none],
      [names.path, common.paths[row.path]],
      [common.figures.pdd[0], row.pdd_ms === null ? common.none : ms(row.pdd_ms)],
      [names.country, country(row.country) || common.unknown],
      [names.node, row.node],
      ...(this.isOperator ? ([[words.account, row.account_id]] as [string, unknown][]) : []),
      [words.key, row.key_id || common.none],
      [words.origin, row.origin || common.none],
      [words.id, row.id],
    ];
    return facts.map(([name, value]) => html`<div><dt>${name}</dt><dd class="number">${value}</dd></div>`);
  }
}

function lineOf(name: Sampled, which: number): Line {
  const dash = DASHES[which];
  return {
    label: words.series[name],
    column: SAMPLED.indexOf(name),
    color: COLORS[which],
    ...(dash && { dash }),
    // Amounts are drawn in units of their currency.
    ...(name === 'cost_micros' && { scale: 1e-6 }),
    text: (value) => decimal(value, name === 'cost_micros' ? 4 : name === 'mos' ? 2 : 0),
  };
}

/** Return what has happened, in order, each with how long after the beginning. */
function events(row: Row): TemplateResult[] {
  const cause = row.cause === null ? '' : (entryOf(causes, `cause.${row.cause}`) ?? row.cause_name);
  const how = [entryOf(words.endedBy, row.ended_by) ?? words.endedBy[''], cause, row.carrier_code ? words.carrierCode(row.carrier_code) : ''].filter(Boolean).join(' · ');
  const happened: [string, string | null][] = [
    [words.created, row.created_at],
    [words.rang, row.ringing_at],
    [words.answered, row.answered_at],
    [how, row.ended_at],
  ];
  const begun = Date.parse(row.created_at);
  return happened
    .filter((each): each is [string, string] => each[1] !== null)
    .map(([what, at], which) => {
      const afterMs = Math.max(0, Date.parse(at) - begun);
      const after = words.after(afterMs < 60_000 ? ms(afterMs) : duration(afterMs / 1000));
      return html`<li>
        <time class="number" datetime=${at} title=${instant(at)}>${clock(at)}</time> ${what}
        ${which ? html`<span class="muted small">${after}</span>` : nothing}
      </li>`;
    });
}

customElements.define('live-call', CallView);
