/** Asks for the API key when the address brought none. Fires `key-given` once the key is kept. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { keepKey } from '../api-key';
import { addWords, t } from '../i18n';
import type { Key } from '../i18n';
import { keyForm } from '../i18n/en/key-form';
import type { CallerError, CallState } from '../sdk/core';
import { fields } from './fields';
import type { Returned } from './returned';
import { theme } from './theme';
import { told } from './told';

const WORDS: Record<Returned, [Key, Key]> = {
  paid: ['topUpReturned', 'topUpReturned.next'],
  cancelled: ['topUpCancelled', 'topUpCancelled.next'],
};

export class KeyForm extends LitElement {
  static override properties = fields('failure', 'last', 'returned', 'complaint');
  static override styles = [
    theme,
    told,
    css`
      :host {
        width: min(100%, 440px);
        margin-inline: auto;
      }
      form {
        display: grid;
        gap: var(--space-3);
      }
      label {
        display: grid;
        gap: var(--space-1);
        font-size: var(--letters-s);
        font-weight: 600;
      }
      input {
        width: 100%;
        min-height: var(--target-l);
        padding: 0 var(--space-3);
        border: 1px solid var(--muted);
        border-radius: var(--radius-s);
        background: transparent;
        font:
          var(--letters-m)/1.4 ui-monospace,
          monospace;
      }
      a {
        padding-block: var(--space-3);
        color: var(--accent);
      }
      .primary {
        min-height: var(--target-l);
        border-radius: var(--radius-m);
      }
    `,
  ];

  /** Why the last key was no good. */
  declare failure: CallerError | undefined;
  /** The call that ended as the key was found to be no good. */
  declare last: CallState | undefined;
  /** The tab comes back from the payment service's page, which another tab has opened. */
  declare returned: Returned | undefined;
  declare complaint: string;

  constructor() {
    super();
    this.complaint = '';
  }

  protected override firstUpdated(): void {
    this.renderRoot.querySelector('input')?.focus();
  }

  protected override render(): TemplateResult {
    return this.returned ? this.#back(this.returned) : this.#form();
  }

  /** A tab that was only opened to pay in: the service's page comes back here, with the money or without. */
  #back(returned: Returned): TemplateResult {
    const [what, next] = WORDS[returned];
    return html`<section class="card" role="status">
        <h2>${t(what)}</h2>
        <p>${t(next)}</p>
      </section>
      <button type="button" @click=${() => (this.returned = undefined)}>${t('openHere')}</button>`;
  }

  #form(): TemplateResult {
    return html`<form class="card" novalidate @submit=${this.#submit}>
      <h2>${t('keyTitle')}</h2>
      <p>${t('keyIntro')}</p>
      <a href="sign-in">${t('signIn')}</a>
      ${this.#alert()}
      <label>
        ${t('keyLabel')}
        <input
          name="key"
          type="password"
          autocomplete="off"
          spellcheck="false"
          placeholder="ck_…"
          aria-describedby="help"
        />
      </label>
      <p id="help" class="small muted">${t('keyHelp')}</p>
      <button class="primary" type="submit">${t('keySubmit')}</button>
      <p class="small muted">${t('keyKept')}</p>
    </form>`;
  }

  #alert(): TemplateResult | typeof nothing {
    if (this.complaint) return html`<p class="alert" role="alert">${this.complaint}</p>`;
    if (!this.failure) return nothing;
    void import('./beside');
    return html`<caller-outcome .failure=${this.failure}></caller-outcome>
      ${this.last ? html`<caller-outcome .state=${this.last}></caller-outcome>` : nothing}`;
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const key = String(new FormData(event.target as HTMLFormElement).get('key'));
    const kept = keepKey(key);
    this.complaint = kept ? '' : t('keyInvalid');
    if (kept) this.dispatchEvent(new CustomEvent('key-given'));
    else this.renderRoot.querySelector('input')?.focus();
  };
}

addWords(keyForm);
customElements.define('caller-key-form', KeyForm);
