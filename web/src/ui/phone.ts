/**
 * The phone itself: one call at a time, before, during and after. Fires `call-started` and `call-ended`, and `top-up`
 * where somebody wants credit.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Api } from '../api';
import { Call } from '../call/call';
import { asFailure } from '../call/failure';
import type { CallFailure } from '../call/failure';
import { elapsedSeconds } from '../call/state';
import type { CallState } from '../call/state';
import { dropCall, keptCall } from '../call/tab-store';
import type { KeptCall } from '../call/tab-store';
import { playKey, stopKeys } from '../call/tones';
import { clock, endingInWords, failureInWords, money, t } from '../i18n';
import type { PhonebookEntry } from '../wire';
import './dialler';
import type { Dialler } from './dialler';
import './in-call';
import type { InCall } from './in-call';
import { theme } from './theme';
import { topUpButton } from './top-up-button';

const DTMF_KEY = /^[0-9*#]$/;

export class Phone extends LitElement {
  static override properties = {
    api: { attribute: false },
    phonebook: { attribute: false },
    canTopUp: { attribute: false },
    state: { attribute: false },
    failure: { attribute: false },
    opened: { attribute: false },
    kept: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      section {
        display: grid;
        gap: 18px;
      }
      section:focus-visible {
        outline: 2px solid color-mix(in srgb, var(--accent) 50%, transparent);
      }
      .status {
        display: flex;
        align-items: center;
        justify-content: center;
        gap: 8px;
        font-size: 0.9375rem;
        color: var(--muted);
      }
      .status::before {
        content: '';
        width: 9px;
        height: 9px;
        border-radius: 50%;
        background: var(--muted);
      }
      .status.live::before {
        background: var(--level);
      }
      .summary {
        padding: 12px 14px;
        border-radius: 14px;
        background: var(--soft);
        text-align: center;
      }
      .summary strong,
      .summary span {
        display: block;
      }
      .summary strong {
        font-weight: 600;
      }
      .summary .top-up {
        margin-top: 8px;
      }
      .notice {
        text-align: center;
      }
      .tools {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 8px;
      }
    `,
  ];

  declare api: Api;
  declare phonebook: PhonebookEntry[];
  /** Whether credit can be bought on this page. */
  declare canTopUp: boolean;
  declare state: CallState | undefined;
  /** Why a call could not even begin. */
  declare failure: CallFailure | undefined;
  /** What stands open below the dialler. */
  declare opened: 'testLine' | 'sound' | undefined;
  /** A call that the page before this one left. */
  declare kept: KeptCall | undefined;
  #call: Call | undefined;

  constructor() {
    super();
    this.phonebook = [];
    this.canTopUp = false;
    this.addEventListener('keydown', this.#keyDown);
  }

  /** Whether a call is under way. */
  get busy(): boolean {
    return this.state !== undefined && this.state.phase !== 'ended';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.kept = keptCall(Date.now());
    if (this.kept) void import('./return-call');
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#call?.hangUp();
  }

  /** Call this number, or go back to a call. Call it inside the click or key press. */
  dial(to: string | KeptCall): void {
    if (this.busy) return;
    this.failure = this.opened = undefined;
    this.kept = undefined;
    if (typeof to === 'string') dropCall();
    stopKeys();
    try {
      this.#call = new Call(to, this.api, {
        changed: (state) => this.#changed(state),
        level: (side, rms) => this.renderRoot.querySelector<InCall>('caller-in-call')?.showLevel(side, rms),
      });
    } catch (error) {
      this.state = undefined;
      this.failure = asFailure(error);
      return;
    }
    this.state = this.#call.state;
    window.addEventListener('beforeunload', askBeforeLeaving);
    void this.#focusPanel();
    this.dispatchEvent(new CustomEvent('call-started'));
  }

  readonly #forget = (): void => {
    this.kept = undefined;
    dropCall();
  };

  /** Show this number, one Enter away from being called. */
  choose(number: string): void {
    this.#dialler?.fill(number);
    this.#dialler?.focusCall();
  }

  get #dialler(): Dialler | null {
    return this.renderRoot.querySelector('caller-dialler');
  }

  #changed(state: CallState): void {
    this.state = state;
    if (state.phase !== 'ended') return;
    window.removeEventListener('beforeunload', askBeforeLeaving);
    stopKeys();
    void this.#focusPanel();
    this.dispatchEvent(new CustomEvent('call-ended', { detail: state }));
  }

  protected override render(): TemplateResult {
    return html`<section class="card" tabindex="-1" aria-label=${t('title')}>
      <p class="status ${this.state?.phase ?? ''}" role="status">${this.#status()}</p>
      ${this.busy ? this.#inCall() : this.#idle()}
    </section>`;
  }

  #status(): string {
    const { state } = this;
    if (state?.away && this.busy) return t('reconnecting');
    if (state?.tone && this.busy) return t(state.tone);
    if (state?.phase !== 'live') return t(state?.phase ?? 'idle');
    return state.held ? t('liveHeld') : t(state.muted ? 'liveMuted' : 'live');
  }

  #inCall(): TemplateResult {
    const entry = this.phonebook.find(({ number }) => number === this.state?.destination);
    return html`<caller-in-call
      .call=${this.#call}
      .state=${this.state}
      .label=${entry?.label ?? ''}
      .canTopUp=${this.canTopUp}
      @key=${(event: CustomEvent<string>) => this.#press(event.detail)}
    ></caller-in-call>`;
  }

  #idle(): TemplateResult {
    return html`${this.#outcome()}
      ${this.kept
        ? html`<caller-return-call
            .call=${this.kept}
            @return=${() => this.kept && this.dial(this.kept)}
            @gone=${this.#forget}
          ></caller-return-call>`
        : nothing}
      <caller-dialler
        .api=${this.api}
        @dial=${(event: CustomEvent<string>) => this.dial(event.detail)}
        @key=${(event: CustomEvent<string>) => playKey(event.detail)}
      ></caller-dialler>
      <div class="tools">${this.#opener('testLine')} ${this.#opener('sound')}</div>
      ${this.#tool()}
      <p class="notice small muted">${t('notice')}</p>`;
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
    return html`<caller-sound-settings></caller-sound-settings>`;
  }

  #outcome(): TemplateResult | typeof nothing {
    const failure = this.failure ?? this.state?.failure;
    if (failure) {
      const [what, next] = failureInWords(failure);
      const unpaid = this.canTopUp && failure.problem?.code === 'insufficient_credit';
      return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>
        ${unpaid ? topUpButton(this) : nothing}`;
    }
    return this.state ? this.#summary(this.state) : nothing;
  }

  #summary(state: CallState): TemplateResult {
    const [what, next] = state.ending ? endingInWords(state.ending) : [t('cause.487'), ''];
    const seconds = state.ending?.seconds ?? elapsedSeconds(state, performance.now());
    const figures = { duration: clock(seconds), cost: state.cost ? money(state.cost) : '' };
    return html`<div class="summary" role="status">
      <strong>${what}</strong>
      ${state.cost ? html`<span class="small muted number">${t('summary', figures)}</span>` : nothing}
      ${next ? html`<span class="small">${next}</span>` : nothing}
      ${this.canTopUp && state.ending?.cut_off === 'credit' ? topUpButton(this) : nothing}
    </div>`;
  }

  #press(key: string): void {
    playKey(key);
    this.#call?.press(key);
  }

  readonly #keyDown = (event: KeyboardEvent): void => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (plain && this.state?.phase === 'live' && DTMF_KEY.test(event.key)) this.#press(event.key);
  };

  /** Keep the focus in the phone when the control that had it goes: digits go on, Enter does nothing. */
  async #focusPanel(): Promise<void> {
    const number = this.state?.destination;
    await this.updateComplete;
    this.renderRoot.querySelector('section')?.focus({ preventScroll: true });
    if (!this.busy && number) this.#dialler?.fill(number);
  }
}

function askBeforeLeaving(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

customElements.define('caller-phone', Phone);
