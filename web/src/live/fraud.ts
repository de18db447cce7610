/** Which rules refused calls in the last day, whose, and which accounts may place none. */

import { css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { Timeline } from './board';
import { age, decimal, hour, instant } from './format';
import { entryOf } from './language';
import { look } from './look';
import { Report, column, reportLook, shown, table } from './report';
import type { FraudReport } from './report-contract';
import { words } from './report-words';
import './sparkline';
import { words as common } from './words';

const HOUR_S = 3600;

export class Fraud extends Report<FraudReport> {
  static override properties = fields('source', 'isHeld', 'nowMs', 'report', 'failure');
  static override styles = [
    theme,
    look,
    reportLook,
    css`
      .hours {
        width: 40%;
        min-width: 88px;
      }
      .rule {
        white-space: normal;
        overflow-wrap: anywhere;
        min-width: 6.5rem;
      }
      .reasons {
        min-width: 12rem;
        white-space: normal;
      }
    `,
  ];

  /** By rule, in the order of the report. */
  #hours: readonly Timeline[] = [];

  protected override willUpdate(changed: PropertyValues<this>): void {
    super.willUpdate(changed);
    const { report } = this;
    if (changed.has('report') && report) this.#hours = report.rules.map(({ by_hour }) => hoursOf(report.since, by_hour));
  }

  protected override render(): TemplateResult {
    const { report } = this;
    return html`<div class="stack">
      ${this.state()}
      ${report
        ? html`<section class="card">${this.#rules(report)}</section>
            ${report.accounts.length ? html`<section class="card">${this.#accounts(report)}</section>` : nothing}
            <section class="card">${this.#frozen(report)}</section>`
        : nothing}
    </div>`;
  }

  #rules({ rules }: FraudReport): TemplateResult {
    const note = html`<p class="note">${words.countedRules}</p>`;
    if (!rules.length) return html`<h2>${words.rules}</h2><p class="good">✓ ${words.noRefusals}</p>${note}`;
    const head = [column(words.rule), column(words.refused, 'n'), column(words.byHour, 'hours'), column(words.accounts, 'n')];
    const rows = rules.map(({ rule, count, accounts, by_hour }, which) => {
      const hours = this.#hours[which];
      return html`<tr>
        <th scope="row" class="rule">${ruleName(rule)}</th>
        <td class="n">${decimal(count, 0)}</td>
        <td class="hours">
          <live-sparkline
            .timeline=${hours}
            .column=${0}
            .label=${words.hourly(ruleName(rule), by_hour.map((each) => decimal(each, 0)).join('; '))}
            .lastAt=${hours.at.at(-1)}
          ></live-sparkline>
        </td>
        <td class="n">${decimal(accounts, 0)}</td>
      </tr>`;
    });
    return html`${table('rules', words.rules, words.rulesCaption, head, rows)} ${note}`;
  }

  #accounts({ accounts, accounts_total }: FraudReport): TemplateResult {
    const head = [column(words.account), column(words.refused, 'n'), column(words.byRule), column(words.lastHour)];
    const rows = accounts.map(({ account_id, count, rules, last_hour }) => {
      const each = Object.entries(rules).map(([rule, refused]) => `${ruleName(rule)} ${decimal(refused, 0)}`);
      return html`<tr>
        <th scope="row">${account_id}</th>
        <td class="n">${decimal(count, 0)}</td>
        <td class="reasons">${each.join(' · ')}</td>
        <td title=${instant(last_hour)}>${hour(last_hour)}</td>
      </tr>`;
    });
    return html`${table('refused', words.refusedAccounts, words.refusedCaption, head, rows)} ${shown(accounts.length, accounts_total)}`;
  }

  #frozen({ frozen, frozen_total }: FraudReport): TemplateResult {
    if (!frozen.length) return html`<h2>${words.frozen}</h2><p class="muted">${words.noFrozen}</p>`;
    const head = [column(words.account), column(words.why), column(words.since)];
    const rows = frozen.map(({ account_id, reasons, since }) => {
      return html`<tr>
        <th scope="row">${account_id}</th>
        <td class="reasons">${reasons.map((reason) => entryOf(words.reasons, reason) ?? reason).join('; ')}</td>
        <td title=${instant(since)}>${common.ago(age(this.nowMs - Date.parse(since)))}</td>
      </tr>`;
    });
    return html`${table('frozen', words.frozen, words.frozenCaption, head, rows)} ${shown(frozen.length, frozen_total)}`;
  }
}

function ruleName(rule: string): string {
  return entryOf(words.ruleNames, rule) ?? rule;
}

/** Return counts by hour as a line is drawn of them. */
function hoursOf(since: string, counts: readonly number[]): Timeline {
  const hours = new Timeline(1, counts.length, HOUR_S);
  counts.forEach((count, which) => hours.push(Date.parse(since) + which * HOUR_S * 1000, [count]));
  return hours;
}

customElements.define('live-fraud', Fraud);
