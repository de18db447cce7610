/** How calls to each country go, and to each prefix in it by which they are priced. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import type { Country, Health } from './contract';
import { country, decimal, ms, percent } from './format';
import { ARROWS, look, sorted } from './look';
import { byFigure, restOf } from './prefixes';
import type { Column } from './prefixes';
import { words } from './words';

const COLUMNS = Object.entries(words.country) as [Column, string][];

export class Countries extends LitElement {
  static override properties = fields('countries', 'isWall', 'column', 'descending', 'turned');
  static override styles = [
    theme,
    look,
    css`
      .part th {
        padding-inline-start: 28px;
        font-weight: 400;
      }
      .fold {
        min-height: 24px;
      }
      .fold::before {
        display: inline-block;
        width: 1.25em;
        content: '▸' / '';
      }
      .fold[aria-expanded='true']::before {
        content: '▾' / '';
      }
      /* For a screen across the room: letters grow with it. */
      .wall :is(table, h2) {
        font-size: clamp(var(--letters-m), 1.2vw, 2rem);
      }
    `,
  ];

  declare countries: Country[];
  declare isWall: boolean;
  declare column: Column;
  declare descending: boolean;
  /** Countries whose prefixes somebody has shown, or hidden. */
  declare turned: ReadonlyMap<string, boolean>;

  constructor() {
    super();
    this.isWall = false;
    this.column = 'calls';
    this.descending = true;
    this.turned = new Map();
  }

  protected override render(): TemplateResult {
    const { countries } = this;
    if (!countries.length) return html`<section class="card"><h2>${words.countries}</h2><p class="muted">${words.noCountries}</p></section>`;
    const rows = byFigure(countries, this.column, this.descending, (row) => country(row.country));
    return html`<section class="card ${this.isWall ? 'wall' : ''}">
      <h2 id="countries">${words.countries}</h2>
      <div class="scroll" role="region" aria-labelledby="countries" tabindex="0">
        <table aria-labelledby="countries">
          <thead><tr>${COLUMNS.map(([name, label]) => this.#heading(name, label))}</tr></thead>
          <tbody>${rows.map((row) => this.#country(row))}</tbody>
        </table>
      </div>
    </section>`;
  }

  #heading(name: Column, label: string): TemplateResult {
    const order = sorted(name === this.column, this.descending);
    const place = name === 'country' ? '' : 'n';
    if (this.isWall) return html`<th scope="col" class=${place}>${label}</th>`;
    const sort = (): void => {
      this.descending = name === this.column ? !this.descending : name !== 'country';
      this.column = name;
    };
    return html`<th scope="col" class=${place} aria-sort=${order}>
      <button type="button" @click=${sort}>${label}${ARROWS[order]}</button>
    </th>`;
  }

  /** Whether a country's prefixes are shown: of one that stands alone, unless somebody has hidden them. */
  #isOpen({ country: code, prefixes }: Country): boolean {
    return prefixes.length > 0 && (this.turned.get(code) ?? this.countries.length === 1);
  }

  #country(row: Country): TemplateResult {
    const isOpen = this.#isOpen(row);
    const name = country(row.country) || words.unknown;
    return html`${line(this.#name(row, name, isOpen), row)} ${isOpen ? this.#parts(row) : nothing}`;
  }

  #name(row: Country, name: string, isOpen: boolean): TemplateResult | string {
    if (this.isWall || !row.prefixes.length) return name;
    const turn = (): void => {
      this.turned = new Map(this.turned).set(row.country, !isOpen);
    };
    return html`<button type="button" class="fold" aria-expanded=${isOpen} aria-label=${words.prefixesOf(name)} @click=${turn}>${name}</button>`;
  }

  #parts(row: Country): TemplateResult {
    const parts = byFigure(row.prefixes, this.column, this.descending, (part) => part.prefix);
    const rest = restOf(row);
    return html`${parts.map((part) => line(part.prefix, part, 'part'))} ${rest ? line(words.otherPrefixes, rest, 'part dim') : nothing}`;
  }
}

function line(name: TemplateResult | string, row: Health, kind = ''): TemplateResult {
  const known = (value: number | null, text: (value: number) => string): string => (value === null ? words.none : text(value));
  return html`<tr class=${kind}>
    <th scope="row">${name}</th>
    <td class="n">${decimal(row.calls, 0)}</td>
    <td class="n">${decimal(row.attempts, 0)}</td>
    <td class="n">${known(row.asr_percent, percent)}</td>
    <td class="n">${known(row.pdd_ms, ms)}</td>
    <td class="n">${known(row.mos, (value) => decimal(value, 2))}</td>
    <td class="n">${decimal(row.failed, 0)}</td>
  </tr>`;
}

customElements.define('live-countries', Countries);
