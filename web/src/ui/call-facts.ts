/** What a call under way costs, how long it can last and how good its line is. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { clock, t } from '../i18n';
import type { Key } from '../i18n';
import { price } from '../i18n/figures';
import { isOfNetwork } from '../i18n/outcomes';
import { popOut } from '../installed/call-outside';
import { canOpen } from '../installed/call-window';
import { labelOf } from '../labels';
import type { CallState, LineQuality } from '../sdk/core';
import { fields } from './fields';
import { theme } from './theme';
import { told } from './told';

const QUALITY: Record<LineQuality, Key> = { good: 'lineGood', fair: 'lineFair', poor: 'linePoor' };

const PATH = { webrtc: 'WebRTC', websocket: 'WebSocket' };

export class CallFacts extends LitElement {
  static override properties = fields('state');
  static override styles = [
    theme,
    told,
    css`
      dl {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, max(7.25rem, 40%)), 1fr));
        gap: 1px;
        overflow: hidden;
        border: 1px solid var(--line);
        border-radius: var(--radius-m);
        background: var(--line);
      }
      div {
        padding: var(--space-3) var(--space-2);
        background: var(--card);
      }
      div:last-child:nth-child(odd) {
        grid-column: 1 / -1;
      }
      dt {
        font-size: var(--letters-xs);
        color: var(--muted);
      }
      dd {
        font-weight: 600;
        overflow-wrap: anywhere;
      }
      @media (max-width: 400px) {
        dd {
          font-size: var(--letters-s);
        }
      }
      dd small {
        display: block;
        font-size: var(--letters-xs);
        font-weight: 400;
        color: var(--muted);
      }
      .bars {
        display: inline-flex;
        align-items: flex-end;
        gap: 2px;
        height: 0.75em;
      }
      .bars i {
        width: 4px;
        height: 33%;
        border-radius: 1px;
        background: var(--level);
      }
      .bars i + i {
        height: 66%;
      }
      .bars i + i + i {
        height: 100%;
      }
      .poor i {
        background: var(--stop);
      }
      .poor i + i,
      .fair i + i + i {
        background: var(--soft-strong);
      }
      @media (forced-colors: active) {
        .bars i {
          forced-color-adjust: none;
          background: Highlight;
        }
      }
    `,
  ];

  declare state: CallState;

  protected override render(): TemplateResult {
    return html`${this.#facts()} ${canOpen && this.state.phase === 'live' ? this.#popOut() : nothing}
      <p class="hidden" role="status">${this.#spokenLine()}</p>`;
  }

  #facts(): TemplateResult | typeof nothing {
    const { rate, cost, remainingSeconds, phase } = this.state;
    if (!rate) return nothing;
    const perMinute = t('perMinute', { price: price(rate.per_minute) });
    return html`<dl part="list">
      ${phase === 'live' ? fact('cost', cost ? price(cost) : '—') : nothing}
      ${remainingSeconds === undefined ? nothing : fact('remaining', clock(remainingSeconds))}
      ${fact('rate', perMinute, rate.connect_fee.micros ? t('connectFee', { price: price(rate.connect_fee) }) : '')}
      ${phase === 'live' ? fact('line', this.#line(), this.#way()) : nothing}
    </dl>`;
  }

  #popOut(): TemplateResult {
    const label = labelOf(this.state.destination, []);
    return html`<button type="button" class="small" part="pop-out" @click=${() => popOut(label)}>${t('popOut')}</button>`;
  }

  #line(): TemplateResult | string {
    const { lost } = this.state;
    const quality = shown(this.state);
    if (lost) return t('lineLost');
    if (!quality) return t('lineUnknown');
    return html`<span class="bars ${quality}" aria-hidden="true"><i></i><i></i><i></i></span> ${t(QUALITY[quality])}`;
  }

  #way(): string {
    const { path, roundTripMs } = this.state;
    return typeof roundTripMs === 'number' ? t('lineBy', { path: PATH[path], ms: String(Math.round(roundTripMs)) }) : PATH[path];
  }

  /** Changes only with the quality or the path, so that a screen reader is silent between. */
  #spokenLine(): string {
    const { path } = this.state;
    const quality = shown(this.state);
    return quality ? t('lineIs', { line: t(QUALITY[quality]), path: PATH[path] }) : '';
  }
}

/** Return the quality to show: a line with a warning is not good, even if its last seconds were. */
function shown({ quality, warnings }: CallState): LineQuality | undefined {
  return quality === 'good' && Object.keys(warnings).some(isOfNetwork) ? 'fair' : quality;
}

function fact(name: Key, value: string | TemplateResult, note = ''): TemplateResult {
  return html`<div>
    <dt>${t(name)}</dt>
    <dd class="number">${value}${note ? html`<small>${note}</small>` : nothing}</dd>
  </div>`;
}

customElements.define('caller-call-facts', CallFacts);
