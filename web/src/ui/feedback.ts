/** Asks the caller how the call was: five stars and, where it was not good, what was wrong. Sent once. */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { CallFeedback, Flaw } from '../answers';
import type { Api } from '../api';
import { sendFeedback } from '../call-feedback';
import { t } from '../i18n';
import { checkboxStyle } from './checkbox';
import { fields } from './fields';
import { theme } from './theme';

const STARS = [1, 2, 3, 4, 5] as const;

const FLAWS: Flaw[] = ['audio-latency', 'choppy-audio', 'dropped-call', 'echo', 'noisy-call'];

/** Up to so many stars something was wrong. */
const FLAWED_MAX = 4;

export class Feedback extends LitElement {
  static override properties = fields('api', 'callId', 'stars', 'flaws', 'phase');
  static override styles = [
    theme,
    checkboxStyle,
    css`
      form,
      fieldset {
        display: grid;
        justify-items: center;
        gap: var(--space-2);
        min-width: 0;
        margin: 0;
        padding: 0;
        border: 0;
      }
      .stars {
        display: flex;
      }
      .star {
        position: relative;
        display: grid;
        place-items: center;
        width: 44px;
        height: 44px;
        border-radius: var(--radius-s);
        font-size: 1.75rem;
        color: var(--muted);
      }
      .star.on {
        color: var(--go);
      }
      .star:focus-within {
        outline: 3px solid var(--accent);
      }
      .star input {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        margin: 0;
        opacity: 0;
        cursor: pointer;
      }
      legend {
        margin-inline: auto;
        padding: 0;
      }
      .flaws {
        justify-items: start;
        gap: 0;
      }
      @media (forced-colors: active) {
        .star.on {
          forced-color-adjust: none;
          color: Highlight;
        }
      }
    `,
  ];

  declare api: Api;
  /** The call that is asked about. */
  declare callId: string;
  /** 0 while none is chosen. */
  declare stars: number;
  declare flaws: readonly Flaw[];
  declare phase: 'asking' | 'sending' | 'failed' | 'sent';

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('callId')) return;
    this.stars = 0;
    this.flaws = [];
    this.phase = 'asking';
  }

  protected override render(): TemplateResult {
    return html`${this.phase === 'sent' ? nothing : this.#form()}
      <p class="small muted" role="status">
        ${this.phase === 'sent' ? t('feedbackSent') : this.phase === 'failed' ? t('feedbackFailed') : ''}
      </p>`;
  }

  #form(): TemplateResult {
    return html`<form @submit=${this.#submit}>
      <fieldset>
        <legend class="small">${t('feedbackHeading')}</legend>
        <div class="stars">${STARS.map((count) => this.#star(count))}</div>
      </fieldset>
      ${this.stars && this.stars <= FLAWED_MAX ? this.#flaws() : nothing}
      ${this.stars ? html`<button ?disabled=${this.phase === 'sending'}>${t('feedbackSend')}</button>` : nothing}
    </form>`;
  }

  #star(count: number): TemplateResult {
    return html`<label class="star ${count <= this.stars ? 'on' : ''}">
      <input
        type="radio"
        name="stars"
        aria-label=${t(`feedbackStars.${count as (typeof STARS)[number]}`)}
        .checked=${count === this.stars}
        @change=${() => (this.stars = count)}
      />
      <span aria-hidden="true">${count <= this.stars ? '★' : '☆'}</span>
    </label>`;
  }

  #flaws(): TemplateResult {
    return html`<fieldset class="flaws">
      <legend class="small">${t('feedbackFlaws')}</legend>
      ${FLAWS.map(
        (flaw) => html`<label class="checkbox">
          <input type="checkbox" .checked=${this.flaws.includes(flaw)} @change=${() => this.#turn(flaw)} />
          <span>${t(`flaw.${flaw}`)}</span>
        </label>`,
      )}
    </fieldset>`;
  }

  #turn(flaw: Flaw): void {
    const without = this.flaws.filter((other) => other !== flaw);
    this.flaws = without.length < this.flaws.length ? without : [...without, flaw];
  }

  readonly #submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const { callId, stars, flaws } = this;
    const said: CallFeedback = { stars, flaws: stars <= FLAWED_MAX ? flaws : [] };
    this.phase = 'sending';
    const path = `v1/calls/${encodeURIComponent(callId)}/feedback`;
    const isKept = await sendFeedback(() => this.api.json(path, said, { method: 'PUT' }));
    if (callId === this.callId) this.phase = isKept ? 'sent' : 'failed';
  };
}

customElements.define('caller-feedback', Feedback);
