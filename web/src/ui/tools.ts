/** What can be done before a call: testing the line, choosing the devices. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Api } from '../api';
import { t } from '../i18n';
import { fields } from './fields';
import { theme } from './theme';

export class Tools extends LitElement {
  static override properties = fields('api', 'opened');
  static override styles = [
    theme,
    css`
      :host,
      .tools {
        display: grid;
        gap: 18px;
      }
      .tools {
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 7rem), 1fr));
        gap: var(--space-2);
      }
    `,
  ];

  declare api: Api;
  declare opened: 'testLine' | 'sound' | undefined;

  protected override render(): TemplateResult {
    return html`<div class="tools">${this.#opener('testLine')} ${this.#opener('sound')}</div>
      ${this.#tool()}`;
  }

  #opener(name: 'testLine' | 'sound'): TemplateResult {
    const isOpen = this.opened === name;
    return html`<button type="button" aria-expanded=${isOpen} @click=${() => (this.opened = isOpen ? undefined : name)}>
      ${t(name)}
    </button>`;
  }

  #tool(): TemplateResult | typeof nothing {
    if (!this.opened) return nothing;
    if (this.opened === 'testLine') {
      void import('./line-check');
      return html`<caller-line-check .api=${this.api}></caller-line-check>`;
    }
    void import('./sound-settings');
    return html`<caller-sound-settings .canTry=${true}></caller-sound-settings>`;
  }
}

customElements.define('caller-tools', Tools);
