/**
 * Stands where nobody is known to use the phone: leads whoever has an account to the sign-in, and asks for an API key
 * when the address brought none. Fires `key-given` once the key is kept.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { keepKey } from '../api-key';
import { addWords, t } from '../i18n';
import type { Key } from '../i18n';
import { keyForm } from '../../../gateway/words/en/phone/key-form';
import type { CallerError, CallState } from '../sdk/core';
import { fields } from './fields';
import type { Returned } from './returned';
import { theme } from './theme';
import { told } from './told';

/** The way to the sign-in, and from there back to the phone. */
const SIGN_IN = 'sign-in?next=%2F';

const WORDS: Record<Returned, [Key, Key]> = {
  paid: ['topUpReturned', 'topUpReturned.next'],
  cancelled: ['topUpCancelled', 'topUpCancelled.next'],
};

export class KeyForm extends LitElement {
  static override properties = fields('hasAccounts', 'failure', 'last', 'returned', 'complaint');
  static override styles = [
    theme,
    told,
    css`
      :host {
        width: min(100%, 440px);
        margin-inline: auto;
      }
      form,
      section {
        display: grid;
        gap: var(--space-3);
      }
      summary {
        padding-block: var(--space-3);
        cursor: pointer;
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
      a.primary {
        display: grid;
        place-items: center;
        color: var(--on-go);
        text-decoration: none;
      }
    `,
  ];

  /** Whether people have accounts here, and sign in. */
  declare hasAccounts: boolean;
  /** Why the last key was not accepted, or that the user is no longer signed in. */
  declare failure: CallerError | undefined;
  /** The call that ended as the key was found to be no good. */
  declare last: CallState | undefined;
  /** The tab comes back from the payment service's page, which another tab has opened. */
  declare returned: Returned | undefined;
  declare complaint: string;

  constructor() {
    super();
    this.complaint = '';
    this.hasAccounts = false;
  }

  protected override firstUpdated(): void {
    this.renderRoot.querySelector<HTMLElement>('a.primary, input')?.focus();
  }

  protected override render(): TemplateResult {
    if (this.returned) return this.#back(this.returned);
    const isSignedOut = !this.failure || this.failure.code === 'signed_out';
    return this.hasAccounts && isSignedOut ? this.#signedOut() : this.#form();
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

  /** A key is what programs and operators have; people have a session. */
  #signedOut(): TemplateResult {
    return html`<section class="card">
      <h2>${t('problem.signed_out')}</h2>
      <p>${t('problem.signed_out.next')}</p>
      ${this.#last()}
      <a class="primary" href=${SIGN_IN}>${t('signInHere')}</a>
      <details>
        <summary>${t('withKey')}</summary>
        <form novalidate @submit=${this.#submit}>${this.#complaint()}${this.#field()}</form>
      </details>
    </section>`;
  }

  #form(): TemplateResult {
    return html`<form class="card" novalidate @submit=${this.#submit}>
      <h2>${t('keyTitle')}</h2>
      <p>${t('keyIntro')}</p>
      <a href=${SIGN_IN}>${t('signIn')}</a>
      ${this.#complaint()} ${this.complaint || !this.failure ? nothing : this.#failed(this.failure)} ${this.#field()}
    </form>`;
  }

  #field(): TemplateResult {
    return html`<label>
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
      <p class="small muted">${t('keyKept')}</p>`;
  }

  #complaint(): TemplateResult | typeof nothing {
    return this.complaint ? html`<p class="alert" role="alert">${this.complaint}</p>` : nothing;
  }

  #failed(failure: CallerError): TemplateResult {
    void import('./beside');
    return html`<caller-outcome .failure=${failure}></caller-outcome> ${this.#last()}`;
  }

  #last(): TemplateResult | typeof nothing {
    return this.last ? html`<caller-outcome .state=${this.last}></caller-outcome>` : nothing;
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
