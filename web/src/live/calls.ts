/** The table of calls: filtered, sorted, by pages, as cards where there is little room. Fires `end-call` with a row. */

import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import type { Board } from './board';
import { MEASURED, NEWEST, choose, isLong, isOver, numberOf, secondsOf } from './call-list';
import type { Chosen, Column, Query } from './call-list';
import { callsLook } from './calls-look';
import type { Row } from './contract';
import { age, clock, country, decimal, duration, instant } from './format';
import { ARROWS, costs, fire, look, quality, sorted, stateOf } from './look';
import { words } from './words';

const COLUMNS = Object.keys(words.columns) as (Column | 'end')[];
const NUMBERS = new Set<string>(['seconds', 'cost_micros', 'mos', 'rtt_ms', 'loss_percent', 'jitter_ms']);

export class Calls extends LitElement {
  static override properties = fields('board', 'nowMs', 'isOperator', 'query', 'longMinutes');
  static override styles = [theme, look, callsLook];

  declare board: Board;
  /** The time that durations are counted to, by the server's clock. */
  declare nowMs: number;
  declare isOperator: boolean;
  declare query: Query;
  declare longMinutes: number;

  /** The button that had the focus last, and all of its kind while it was there. */
  #focused: HTMLElement | undefined;
  #ends: HTMLElement[] = [];

  constructor() {
    super();
    this.query = NEWEST;
  }

  /** Bring the focus to the filter. */
  focusFilter(): void {
    this.renderRoot.querySelector<HTMLInputElement>('input[type=search]')?.focus();
  }

  protected override willUpdate(): void {
    if (this.#focused?.isConnected) this.#ends = [...this.renderRoot.querySelectorAll<HTMLElement>('td button')];
  }

  /** If the focus disappeared with its button, it moves to the next call. */
  protected override updated(): void {
    const button = this.#focused;
    if (!button || document.activeElement !== document.body) return;
    this.#focused = undefined;
    if (button.isConnected) return;
    const place = this.#ends.indexOf(button);
    const next = [...this.#ends.slice(place), ...this.#ends.slice(0, place).reverse()].find((each) => each.isConnected);
    (next ?? this.renderRoot.querySelector<HTMLElement>('[tabindex], section button, section a'))?.focus();
  }

  protected override render(): TemplateResult {
    const chosen = choose(this.board.rows.values(), this.query, this.nowMs, this.longMinutes);
    return html`<div class="stack">
      ${this.#tools()}
      ${chosen.total ? this.#table(chosen) : this.#none()}
    </div>`;
  }

  #tools(): TemplateResult {
    const { query } = this;
    return html`<form class="row" role="search" @submit=${(event: Event) => event.preventDefault()}>
      <label class="wide">
        <span>${words.filter}</span>
        <input
          type="search"
          autocomplete="off"
          spellcheck="false"
          placeholder=${words.filterHint}
          .value=${query.text}
          @input=${(event: InputEvent) => this.#ask({ text: (event.target as HTMLInputElement).value })}
        />
      </label>
      ${select(words.stateLabel, query.state, STATES, (state) => this.#ask({ state }))}
      ${select(words.tagLabel, query.tag, { '': words.anyTag, ...words.tags }, (tag) => this.#ask({ tag }))}
      <div class="narrow">
        ${select(words.sortLabel, query.column, SORTABLE, (column) => this.#ask({ column, descending: true }))}
      </div>
      <label>
        <span>${words.longLabel}</span>
        <input type="number" min="1" max="1440" .value=${String(this.longMinutes)} @change=${this.#setLong} />
      </label>
    </form>`;
  }

  #none(): TemplateResult {
    if (!this.board.rows.size) return empty(this.isOperator);
    return html`<section class="card row">
      <p>${words.noMatch}</p>
      <button type="button" @click=${() => (this.query = NEWEST)}>${words.showAll}</button>
    </section>`;
  }

  #table(chosen: Chosen): TemplateResult {
    const columns = COLUMNS.filter((name) => this.isOperator || name !== 'account_id');
    return html`<div class="scroll" role="region" aria-label=${words.calls} tabindex="0">
        <table aria-label=${words.calls}>
          <thead><tr>${columns.map((name) => this.#heading(name))}</tr></thead>
          <tbody>${repeat(chosen.rows, ({ id }) => id, (row) => this.#row(row))}</tbody>
        </table>
      </div>
      ${this.#pages(chosen)}`;
  }

  #heading(name: Column | 'end'): TemplateResult {
    const label = words.columns[name];
    const place = NUMBERS.has(name) ? 'n' : '';
    if (name === 'end') return html`<th scope="col"><span class="hidden">${label}</span></th>`;
    const { column, descending } = this.query;
    const order = sorted(name === column, descending);
    const sort = (): void => this.#ask({ column: name, descending: name === column ? !descending : NUMBERS.has(name) });
    return html`<th scope="col" class=${place} aria-sort=${order}>
      <button type="button" @click=${sort}>${label}${ARROWS[order]}</button>
    </th>`;
  }

  #row(row: Row): TemplateResult {
    const { columns: names } = words;
    const number = numberOf(row);
    const seconds = secondsOf(row, this.nowMs);
    return html`<tr class=${isOver(row) ? 'dim' : ''}>
      <td data-label=${names.state}>${stateOf(row.state)}</td>
      <td data-label=${names.destination}><a href="#/call/${encodeURIComponent(row.id)}">${number}</a></td>
      <td data-label=${names.country} title=${country(row.country)}>${row.country || words.none}</td>
      ${this.isOperator ? html`<td class="name" data-label=${names.account_id} title=${row.account_id}>${row.account_id}</td>` : nothing}
      <td class="name" data-label=${names.node} title=${row.node}>${row.node}</td>
      <td data-label=${names.created_at} title="${instant(row.created_at)}, ${words.ago(age(this.nowMs - Date.parse(row.created_at)))}">
        ${clock(row.created_at)}
      </td>
      <td class="n" data-label=${names.seconds}>
        ${isLong(row, this.nowMs, this.longMinutes) ? html`<strong class="poor">▲ ${words.long}</strong> ` : nothing}${seconds === undefined ? words.none : duration(seconds)}
      </td>
      <td class="n" data-label=${names.cost_micros}>${costs(row, this.nowMs)}</td>
      ${MEASURED.map((column) => html`<td class="n" data-label=${names[column]}>${quality(row, column)}</td>`)}
      <td class="tags" data-label=${names.tags}>${row.tags.map((tag) => words.tags[tag]).join(', ') || words.none}</td>
      <td data-label=${names.path}>${words.paths[row.path]}</td>
      <td class="act">
        ${isOver(row) || row.state === 'ending'
          ? nothing
          : html`<button type="button" aria-label="${words.endCall}: ${number}" @focus=${this.#keep} @click=${() => fire(this, 'end-call', row)}>${words.end}</button>`}
      </td>
    </tr>`;
  }

  #pages({ page, pages, total }: Chosen): TemplateResult {
    return html`<nav class="row" aria-label=${words.calls}>
      <button type="button" ?disabled=${page === 0} @click=${() => this.#go(page - 1)}>${words.previous}</button>
      <span class="number">${words.pageOf(decimal(page + 1, 0), decimal(pages, 0), decimal(total, 0), total)}</span>
      <button type="button" ?disabled=${page + 1 >= pages} @click=${() => this.#go(page + 1)}>${words.next}</button>
      <span class="muted small end">${words.keys}</span>
    </nav>`;
  }

  readonly #keep = ({ target }: FocusEvent): void => {
    this.#focused = target as HTMLElement;
  };

  #ask(change: Partial<Query>): void {
    this.query = { ...this.query, page: 0, ...change };
  }

  #go(page: number): void {
    this.query = { ...this.query, page };
  }

  readonly #setLong = (event: Event): void => {
    const minutes = (event.target as HTMLInputElement).valueAsNumber;
    if (minutes >= 1) location.replace(`#/calls?long=${minutes}`);
  };
}

const STATES = { '': words.anyState, long: words.longOnly, ...words.states };

const SORTABLE = Object.fromEntries(Object.entries(words.columns).filter(([name]) => name !== 'end')) as Record<Column, string>;

function select<T extends string>(label: string, value: T, options: Record<T, string>, choose: (value: T) => void): TemplateResult {
  const change = (event: Event): void => choose((event.target as HTMLSelectElement).value as T);
  return html`<label>
    <span>${label}</span>
    <select @change=${change}>
      ${(Object.entries(options) as [T, string][]).map(([each, text]) => {
        return html`<option value=${each} .selected=${each === value}>${text}</option>`;
      })}
    </select>
  </label>`;
}

/** Return what is said where there are no calls. */
export function empty(isOperator: boolean): TemplateResult {
  return html`<section class="card">
    <h2>${words.emptyTitle}</h2>
    <p>${isOperator ? words.emptyAll : words.emptyOwn}</p>
    <p><a href="phone">${words.emptyPhone}</a></p>
  </section>`;
}

customElements.define('live-calls', Calls);
