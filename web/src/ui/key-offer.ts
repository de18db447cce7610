/**
 * Asks whether the key that a link has brought shall take the place of the tab's own, and says whose each is. Fires
 * `answered` once it is decided.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { Api } from '../api';
import { answerOffer } from '../api-key';
import { addWords, t } from '../i18n';
import { keyForm } from '../../../gateway/words/en/phone/key-form';
import { asCallerError } from '../sdk/core';
import { fields } from './fields';
import { theme } from './theme';

export class KeyOffer extends LitElement {
  static override properties = fields('offered', 'account', 'theirs', 'state');
  static override styles = [
    theme,
    css`
      :host {
        grid-column: 1 / -1;
      }
      section {
        display: grid;
        gap: var(--space-3);
      }
      div {
        display: flex;
        flex-wrap: wrap;
        gap: var(--space-2);
      }
      button {
        min-height: var(--target);
        padding-inline: var(--space-4);
        border-radius: var(--radius-s);
      }
    `,
  ];

  /** The link's key. */
  declare offered: string;
  /** Account of the tab's own key; undefined while it is not known. */
  declare account: string | undefined;
  /** Account of the link's key. */
  declare theirs: string | undefined;
  declare state: 'asking' | 'known' | 'unknown' | 'refused';

  constructor() {
    super();
    this.state = 'asking';
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('offered')) void this.#look(this.offered);
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('state')) this.renderRoot.querySelector('button')?.focus();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (this.state === 'asking') return nothing;
    const refused = this.state === 'refused';
    return html`<section class="card" role="alertdialog" aria-labelledby="title" aria-describedby="what">
      <h2 id="title">${t('offerTitle')}</h2>
      <p id="what">${this.#words()}</p>
      ${refused ? nothing : html`<p class="small muted">${t('offerWarning')}</p>`}
      <div>
        <button class="primary" type="button" @click=${() => this.#answer(false)}>${t('offerStay')}</button>
        ${refused ? nothing : html`<button type="button" @click=${() => this.#answer(true)}>${t('offerChange')}</button>`}
      </div>
    </section>`;
  }

  #words(): string {
    const { theirs, account } = this;
    if (this.state === 'refused') return t('offerRefused');
    if (theirs === undefined || account === undefined) return t('offerUnknown');
    return theirs === account ? t('offerSame', { own: account }) : t('offerOther', { offered: theirs, own: account });
  }

  async #look(offered: string): Promise<void> {
    this.state = 'asking';
    this.theirs = undefined;
    try {
      const { account } = await new Api(offered).access();
      if (offered !== this.offered) return;
      this.theirs = account;
      this.state = 'known';
    } catch (error) {
      if (offered === this.offered) this.state = asCallerError(error).kind === 'key_refused' ? 'refused' : 'unknown';
    }
  }

  #answer(accepted: boolean): void {
    answerOffer(accepted);
    this.dispatchEvent(new CustomEvent('answered'));
  }
}

addWords(keyForm);
customElements.define('caller-key-offer', KeyOffer);
