/**
 * The phone itself: one call at a time, before, during and after. Fires `call-started`, `call-placed` as it begins to
 * ring and to be charged, and `call-ended`, `credit` with what a call says is left, and `top-up` where somebody wants credit.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { PhonebookEntry, TopUpOffer } from '../answers';
import type { Api } from '../api';
import { t } from '../i18n';
import { takeNumber } from '../kept-number';
import { Call, CallerError, asCallerError, dropCall, isUnreachable, keptCall, playKey, stopKeys } from '../sdk/core';
import type { CallState, CallToken, KeptCall } from '../sdk/core';
import './dialler';
import type { Dialler } from './dialler';
import './in-call';
import type { InCall } from './in-call';
import { theme } from './theme';

const DTMF_KEY = /^[0-9*#]$/;

export class Phone extends LitElement {
  static override properties = {
    api: { attribute: false },
    phonebook: { attribute: false },
    offer: { attribute: false },
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
        /* The header's height, where time and cost fit below it. */
        scroll-margin-block-start: clamp(0rem, (100vh - 33rem) * 9, 9rem);
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
      .status.lost::before {
        background: var(--stop);
      }
      .notice {
        text-align: center;
      }
      .tools {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 7rem), 1fr));
        gap: 8px;
      }
      @media (max-width: 400px) {
        section {
          padding: 16px;
        }
      }
    `,
  ];

  declare api: Api;
  declare phonebook: PhonebookEntry[];
  /** What can be topped up; undefined where nothing can. */
  declare offer: TopUpOffer | undefined;
  declare state: CallState | undefined;
  /** Why a call could not even begin. */
  declare failure: CallerError | undefined;
  /** What stands open below the dialler. */
  declare opened: 'testLine' | 'sound' | undefined;
  /** A call that the page before this one left. */
  declare kept: KeptCall | undefined;
  #call: Call | undefined;
  /** The number that was written before somebody went away to pay. */
  #restored = '';

  constructor() {
    super();
    this.phonebook = [];
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
    this.#restored = takeNumber();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#call?.disconnect();
  }

  /** Call this number, or go back to a call. Call it inside the click or key press. */
  dial(to: string | KeptCall): void {
    if (this.busy) return;
    const { kept } = this;
    this.failure = this.opened = undefined;
    stopKeys();
    try {
      // One call at a time: what the page before this one left is ended before another is placed.
      const before = kept && to !== kept ? () => endFirst(kept).then(this.#forget) : undefined;
      const getToken = this.#tokens(to);
      this.#call = new Call(to, { getToken, before, origin: location.origin, closeProtection: true })
        .on('changed', (state) => this.#changed(state))
        .on('volume', (...levels) => this.renderRoot.querySelector<InCall>('caller-in-call')?.showLevels(...levels));
      if (!before) this.kept = undefined;
    } catch (error) {
      this.state = undefined;
      this.failure = asCallerError(error);
      return;
    }
    this.state = this.#call.state;
    // What is shown of a call begins where the phone does, not where the button was pressed.
    void this.#focusPanel().then(() => this.#panel?.scrollIntoView());
    this.dispatchEvent(new CustomEvent('call-started', { detail: this.#call }));
  }

  /** Return how to get the token; a number that may not be called is no failed request, for it is asked about before. */
  #tokens(to: string | KeptCall): (destination: string) => Promise<CallToken> {
    const { api } = this;
    const quote = typeof to === 'string' ? api.quote(to) : undefined;
    return async (destination) => {
      const refusal = (await quote)?.refusal;
      if (refusal) throw new CallerError('request_refused', refusal);
      return api.callToken(destination);
    };
  }

  readonly #forget = (): void => {
    this.kept = undefined;
    dropCall();
  };

  /** Show how a call that was not taken up again has ended. */
  readonly #endedUnseen = ({ detail }: CustomEvent<CallState>): void => {
    this.#forget();
    this.#changed(detail);
  };

  /** Show this number, one Enter away from being called. */
  choose(number: string): void {
    this.#dialler?.fill(number);
    this.#dialler?.focusCall();
  }

  /** What is written as the number to be called. */
  get number(): string {
    return this.#dialler?.number ?? '';
  }

  /** Offer the call that waited for credit. */
  offerCall(): void {
    const { number } = this;
    if (!this.busy && number) this.choose(number);
  }

  /** Tell no more that the gateway could not be reached: it can be, after this failure of the page if there was one. */
  forget(failure?: CallerError): void {
    const own = this.failure ?? this.state?.failure;
    if (own?.kind === 'offline' || (failure && isUnreachable(own))) this.state = this.failure = undefined;
  }

  protected override firstUpdated(): void {
    if (this.#restored) this.#dialler?.fill(this.#restored);
  }

  get #panel(): HTMLElement | null {
    return this.renderRoot.querySelector('section');
  }

  get #dialler(): Dialler | null {
    return this.renderRoot.querySelector('caller-dialler');
  }

  #changed(state: CallState): void {
    const { balance, phase } = state;
    if (balance && balance !== this.state?.balance) this.dispatchEvent(new CustomEvent('credit', { detail: balance }));
    const isNews = phase !== this.state?.phase;
    this.state = state;
    if (isNews && phase !== 'ended') this.dispatchEvent(new CustomEvent('call-placed'));
    if (phase !== 'ended') return;
    stopKeys();
    void this.#focusPanel();
    this.dispatchEvent(new CustomEvent('call-ended', { detail: state }));
  }

  protected override render(): TemplateResult {
    return html`<section class="card" tabindex="-1" aria-label=${t('title')}>
      <p class="status ${this.busy && this.state?.lost ? 'lost' : (this.state?.phase ?? '')}" role="status">${this.#status()}</p>
      ${this.busy ? this.#inCall() : this.#idle()}
    </section>`;
  }

  #status(): string {
    const { state } = this;
    if (state?.lost && this.busy) return t('reconnecting');
    if (state?.tone && this.busy) return t(state.tone);
    if (state?.unplaced) return t('unplaced');
    if (state?.phase !== 'live') return t(state?.phase ?? 'idle');
    return state.held ? t('liveHeld') : t(state.muted ? 'liveMuted' : 'live');
  }

  #inCall(): TemplateResult {
    return html`<caller-in-call
      .call=${this.#call}
      .state=${this.state}
      .label=${this.#label(this.state?.destination)}
      .api=${this.api}
      .offer=${this.offer}
      @key=${(event: CustomEvent<string>) => this.#press(event.detail)}
    ></caller-in-call>`;
  }

  #label(destination = ''): string {
    return this.phonebook.find(({ number }) => number === destination)?.label ?? '';
  }

  #idle(): TemplateResult {
    const { failure, state, offer } = this;
    return html`${failure || state
        ? html`<caller-outcome .failure=${failure} .state=${state} .canTopUp=${!!offer}></caller-outcome>`
        : nothing}
      ${this.kept
        ? html`<caller-return-call
            .call=${this.kept}
            .label=${this.#label(this.kept.destination)}
            @ended=${this.#endedUnseen}
            @return=${() => this.kept && this.dial(this.kept)}
            @gone=${this.#forget}
          ></caller-return-call>`
        : nothing}
      <caller-dialler
        .api=${this.api}
        .told=${state?.failure?.problem?.code}
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

  #press(key: string): void {
    playKey(key);
    this.#call?.sendDigits(key);
  }

  readonly #keyDown = (event: KeyboardEvent): void => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (plain && this.state?.phase === 'live' && DTMF_KEY.test(event.key)) this.#press(event.key);
  };

  /** Keep the focus in the phone when the control that had it goes: digits go on, Enter does nothing. */
  async #focusPanel(): Promise<void> {
    const number = this.state?.destination;
    await this.updateComplete;
    this.#panel?.focus({ preventScroll: true });
    if (!this.busy && number) this.#dialler?.fill(number);
  }
}

async function endFirst(call: KeptCall): Promise<void> {
  const { endKept } = await import('./return-call');
  await endKept(call);
}

customElements.define('caller-phone', Phone);
