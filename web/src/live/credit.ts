/** What accounts with live calls spend, how long their credit lasts, and whose calls its end has cut off. */

import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import type { Board } from './board';
import { LISTED_MAX, leftOf, levelOf } from './credit-left';
import type { Left } from './credit-left';
import { age, decimal, duration, instant, money } from './format';
import { look } from './look';
import { Report, column, reportLook, shown, table } from './report';
import type { CreditReport } from './report-contract';
import { words } from './report-words';
import { words as common } from './words';

const LEVEL_MARKS = { fair: '▲', poor: '■' } as const;

export class Credit extends Report<CreditReport> {
  static override properties = fields('source', 'isHeld', 'nowMs', 'report', 'failure', 'board');
  static override styles = [theme, look, reportLook];

  declare board: Board;

  protected override render(): TemplateResult {
    return html`<div class="stack">
      ${this.state()}
      <section class="card">${this.#calling()}</section>
      ${this.report ? html`<section class="card">${this.#cutOff(this.report)}</section>` : nothing}
    </div>`;
  }

  #calling(): TemplateResult {
    const all = leftOf(this.board.rows.values(), this.report, this.nowMs);
    if (!all.length) return html`<h2>${words.calling}</h2><p class="muted">${words.noCalling}</p>`;
    const listed = all.slice(0, LISTED_MAX);
    const head = [
      column(words.account),
      column(words.lasts, 'n'),
      column(words.balance, 'n'),
      column(words.perMinute, 'n'),
      column(words.calls, 'n'),
    ];
    return html`${table('calling', words.calling, words.callingCaption, head, listed.map(leftRow))}
      ${shown(listed.length, all.length)}
      <p class="note">${words.lastsHelp}</p>`;
  }

  #cutOff({ cut_off, cut_off_total }: CreditReport): TemplateResult {
    if (!cut_off.length) return html`<h2>${words.cutOff}</h2><p class="good">✓ ${words.noCutOff}</p>`;
    const head = [column(words.account), column(words.calls, 'n'), column(words.last)];
    const rows = cut_off.map(({ account_id, calls, last_at }) => {
      return html`<tr>
        <th scope="row">${account_id}</th>
        <td class="n">${decimal(calls, 0)}</td>
        <td title=${instant(last_at)}>${common.ago(age(this.nowMs - Date.parse(last_at)))}</td>
      </tr>`;
    });
    return html`${table('cut-off', words.cutOff, words.cutOffCaption, head, rows)} ${shown(cut_off.length, cut_off_total)}`;
  }
}

function leftRow({ account_id, currency, calls, perMinuteMicros, balanceMicros, lastsS }: Left): TemplateResult {
  return html`<tr>
    <th scope="row">${account_id}</th>
    <td class="n">${lastsS === null ? common.none : lasting(lastsS)}</td>
    <td class="n">${balanceMicros === null ? common.none : money(balanceMicros, currency, 2)}</td>
    <td class="n">${perMinuteMicros ? money(perMinuteMicros, currency) : common.none}</td>
    <td class="n">${decimal(calls, 0)}</td>
  </tr>`;
}

/** Return how long a credit lasts, with a mark where it is nearly used up. */
function lasting(seconds: number): TemplateResult {
  const text = seconds < 3600 ? duration(seconds) : age(seconds * 1000);
  const level = levelOf(seconds);
  if (!level) return html`${text}`;
  const word = words.levels[level];
  return html`<span class=${level} title=${word}
    ><span aria-hidden="true">${LEVEL_MARKS[level]}</span> ${text}<span class="hidden"> (${word})</span></span
  >`;
}

customElements.define('live-credit', Credit);
