/** How loud either side of a call is, and which of them speaks. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import { speaking } from '../sdk/core';
import type { CallState } from '../sdk/core';
import { fields } from './fields';
import { levelShare } from './level';
import { meterLook } from './meter-look';
import { theme } from './theme';

export class CallMeters extends LitElement {
  static override properties = fields('state');
  static override styles = [
    theme,
    meterLook,
    css`
      :host {
        display: grid;
        gap: var(--space-2);
        font-size: var(--letters-s);
      }
      .meter {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: var(--space-1) var(--space-3);
      }
      .meter span:first-child {
        min-width: 3.5rem;
      }
      .meter .muted {
        min-width: 4.5rem;
      }
      .bar {
        flex: 1 1 40px;
      }
      .talking span:first-child {
        font-weight: 600;
      }
      .talking .muted {
        color: var(--go);
      }
    `,
  ];

  declare state: CallState;

  /** Move the meters of microphone and phone; 0 to 1, linear. Bypasses rendering: it comes ten times a second. */
  showLevels(...levels: number[]): void {
    const { lost, held } = this.state;
    this.renderRoot.querySelectorAll<HTMLElement>('.bar i').forEach((bar, i) => {
      bar.style.setProperty('--share', levelShare(lost || held ? 0 : levels[i]));
    });
  }

  protected override render(): TemplateResult {
    const { browser, carrier } = speaking(this.state);
    return html`${meter('microphone', t('you'), browser)}${meter('phone', t('them'), carrier)}`;
  }
}

function meter(side: 'microphone' | 'phone', who: string, talking: boolean): TemplateResult {
  return html`<div class="meter ${side} ${talking ? 'talking' : ''}">
    <span>${who}</span>
    <span class="bar" aria-hidden="true"><i></i></span>
    <span class="muted">${t(talking ? 'speaking' : 'silent')}</span>
  </div>`;
}

customElements.define('caller-call-meters', CallMeters);
