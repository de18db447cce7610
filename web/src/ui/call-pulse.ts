/** What is seen of a phone that is being reached. Says nothing: the status does. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { handset } from './icons';
import { theme } from './theme';

export class CallPulse extends LitElement {
  static override styles = [
    theme,
    css`
      .pulse {
        display: grid;
        place-items: center;
        width: 84px;
        height: 84px;
        margin: 14px auto;
        border-radius: 50%;
        background: var(--soft);
        color: var(--go);
        animation: pulse var(--beat) ease-out infinite;
      }
      .pulse svg {
        width: 32px;
        height: 32px;
      }
      @keyframes pulse {
        from {
          box-shadow: 0 0 0 0 color-mix(in srgb, var(--level) 45%, transparent);
        }
        to {
          box-shadow: 0 0 0 22px transparent;
        }
      }
    `,
  ];

  protected override render(): TemplateResult {
    return html`<div class="pulse" aria-hidden="true">${handset}</div>`;
  }
}

customElements.define('caller-call-pulse', CallPulse);
