/** Stands where no calls can be shown: says why, and asks for a key. Fires `key-given` once one is kept. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { keepKey } from '../api-key';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { entryOf } from './language';
import { look } from './look';
import { words } from './words';

export class Door extends LitElement {
  static override properties = fields('code', 'hasKey', 'complaint');
  static override styles = [
    theme,
    look,
    css`
      :host {
        width: min(100%, 440px);
        margin-inline: auto;
      }
      a {
        display: inline-block;
        padding-block: var(--space-2);
      }
    `,
  ];

  /** Why the feed has ended: a code of the gateway's. */
  declare code: string;
  declare hasKey: boolean;
  declare complaint: string;

  constructor() {
    super();
    this.complaint = '';
    this.hasKey = false;
  }

  protected override render(): TemplateResult {
    const [what, next] = entryOf(words.endings, this.code) ?? words.endings.other;
    const fire = (name: string) => (): boolean => this.dispatchEvent(new CustomEvent(name));
    return html`<section class="card stack">
      <div role="alert">
        <h2>${what}</h2>
        <p>${next}</p>
      </div>
      <div class="row">
        <a href="sign-in">${words.signIn}</a>
        <button type="button" @click=${fire('try-again')}>${words.tryAgain}</button>
        ${this.hasKey ? html`<button type="button" @click=${fire('forget-key')}>${words.forgetKey}</button>` : nothing}
      </div>
      <form class="stack" novalidate @submit=${this.#submit}>
        <label class="field">
          ${words.keyLabel}
          <input name="key" type="password" autocomplete="off" spellcheck="false" placeholder="ck_…" aria-describedby="help" />
        </label>
        <p id="help" class="small muted">${words.keyHelp}</p>
        ${this.complaint ? html`<p role="alert" class="bad">${this.complaint}</p>` : nothing}
        <button type="submit" class="primary">${words.keySubmit}</button>
      </form>
    </section>`;
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const isKept = keepKey(String(new FormData(event.target as HTMLFormElement).get('key')));
    this.complaint = isKept ? '' : words.keyInvalid;
    if (isKept) this.dispatchEvent(new CustomEvent('key-given'));
  };
}

customElements.define('live-door', Door);
