/** Stands where no calls can be shown: says why, and asks for a key. Fires `key-given` once one is kept, else `not-a-key`. */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { keepKey } from '../api-key';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { words } from './door-words';
import type { Connection } from './feed';
import { entryOf } from './language';
import { look } from './look';
import { words as common } from './words';

/** Endings of which the key in the field is the cause. */
const OF_KEYS = ['key_refused', 'not_a_key'];

export class Door extends LitElement {
  static override properties = fields('connection', 'hasKey');
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

  /** Has ended, or tries with another key. */
  declare connection: Connection;
  declare hasKey: boolean;

  /** Whether somebody waits for what becomes of what they have typed. */
  #isTyped = false;

  constructor() {
    super();
    this.hasKey = false;
  }

  protected override render(): TemplateResult {
    const { connection } = this;
    const code = connection.phase === 'ended' ? connection.code : '';
    const fire = (name: string) => (): boolean => this.dispatchEvent(new CustomEvent(name));
    // Each refusal is another element: two that read alike are announced, too.
    return html`<section class="card stack">
      ${code ? keyed(connection, ended(code)) : html`<h2>${common.connecting}</h2>`}
      <div class="row">
        <a href="sign-in">${words.signIn}</a>
        <button type="button" @click=${fire('try-again')}>${words.tryAgain}</button>
        ${this.hasKey ? html`<button type="button" @click=${fire('forget-key')}>${words.forgetKey}</button>` : nothing}
      </div>
      <form class="stack" novalidate @submit=${this.#submit}>
        <label class="field">
          ${words.keyLabel}
          <input
            name="key"
            type="password"
            autocomplete="off"
            spellcheck="false"
            placeholder="ck_…"
            aria-describedby="help"
            aria-invalid=${OF_KEYS.includes(code)}
          />
        </label>
        <p id="help" class="small muted">${words.keyHelp}</p>
        <button type="submit" class="primary">${words.keySubmit}</button>
      </form>
    </section>`;
  }

  /** What was typed and refused is there to be typed over. */
  protected override updated(changed: PropertyValues<this>): void {
    if (!this.#isTyped || !changed.has('connection') || this.connection.phase !== 'ended') return;
    this.#isTyped = false;
    const field = this.renderRoot.querySelector('input');
    field?.focus();
    field?.select();
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    this.#isTyped = true;
    const isKept = keepKey(String(new FormData(event.target as HTMLFormElement).get('key')));
    this.dispatchEvent(new CustomEvent(isKept ? 'key-given' : 'not-a-key'));
  };
}

function ended(code: string): TemplateResult {
  const [what, next] = entryOf(words.endings, code) ?? words.endings.other;
  return html`<div role="alert">
    <h2>${what}</h2>
    <p>${next}</p>
  </div>`;
}

customElements.define('live-door', Door);
