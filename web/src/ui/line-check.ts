/** “Test my line”: the voice goes to the gateway and back for some seconds, and a verdict follows. It places no call. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Api } from '../api';
import { within } from '../call/deadline';
import { CallFailure, asFailure } from '../call/failure';
import { Line } from '../call/line';
import { failureInWords } from '../i18n';
import { t, verdictInWords } from '../i18n/tools';
import type { CheckResult, GatewayMessage, MediaToken } from '../wire';
import { levelShare } from './level';
import { theme } from './theme';

const TOKEN_MS = 10_000;

/** Connecting both ways, and as much again as the gateway listens. */
const RESULT_MS = 30_000;

const REDRAW_MS = 100;

export class LineCheck extends LitElement {
  static override properties = {
    api: { attribute: false },
    phase: { attribute: false },
    result: { attribute: false },
    failure: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      :host {
        display: grid;
        gap: 12px;
        padding: 16px;
        border: 1px solid var(--line);
        border-radius: 16px;
      }
      progress {
        width: 100%;
        height: 8px;
        accent-color: var(--go);
      }
      .bar {
        overflow: hidden;
        height: 8px;
        border-radius: 4px;
        background: var(--soft-strong);
      }
      .bar i {
        display: block;
        height: 100%;
        background: var(--level);
        transform: scaleX(var(--share, 0));
        transform-origin: left;
      }
      .verdict {
        display: grid;
        gap: 2px;
      }
      .verdict strong {
        font-size: 1.0625rem;
        font-weight: 600;
      }
      @media (forced-colors: active) {
        .bar {
          border: 1px solid CanvasText;
        }
        .bar i {
          forced-color-adjust: none;
          background: Highlight;
        }
      }
    `,
  ];

  declare api: Api;
  declare phase: 'idle' | 'opening' | 'speaking';
  declare result: CheckResult | undefined;
  declare failure: CallFailure | undefined;
  #line: Line | undefined;
  #done: () => void = () => {};
  #fail: (failure: CallFailure) => void = () => {};
  #seconds = 0;
  #since = 0;
  #clock = 0;

  constructor() {
    super();
    this.phase = 'idle';
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stop();
  }

  protected override render(): TemplateResult {
    const isRunning = this.phase !== 'idle';
    return html`<p class="small">${t('checkIntro')}</p>
      <div role="status">${isRunning ? t(this.phase === 'opening' ? 'checkOpening' : 'checkSpeak') : this.#outcome()}</div>
      ${isRunning ? this.#progress() : nothing}
      <button type="button" ?disabled=${isRunning} @click=${() => void this.#start()}>
        ${t(this.result || this.failure ? 'checkAgain' : 'checkStart')}
      </button>`;
  }

  #progress(): TemplateResult {
    const elapsed = this.#since ? (performance.now() - this.#since) / 1000 : 0;
    return html`<progress aria-label=${t('checkProgress')} max=${this.#seconds || 1} .value=${Math.min(elapsed, this.#seconds)}></progress>
      <span class="small muted">${t('level')}</span>
      <span class="bar" aria-hidden="true"><i></i></span>`;
  }

  #outcome(): TemplateResult | typeof nothing {
    if (this.failure) {
      const [what, next] = failureInWords(this.failure);
      return html`<p class="alert"><strong>${what}</strong> <span>${next}</span></p>`;
    }
    const { result } = this;
    if (!result) return nothing;
    const [what, next] = verdictInWords(result);
    const figures = {
      path: result.path === 'webrtc' ? 'WebRTC' : 'WebSocket',
      rtt: result.rtt_ms === null ? '–' : `${Math.round(result.rtt_ms)} ms`,
      loss: `${result.loss_percent} %`,
    };
    return html`<p class="verdict">
      <strong>${t(`verdict.${result.verdict}`)}</strong> <span>${what}</span> <span>${next}</span>
      <span class="small muted number">${t('figures', figures)}</span>
    </p>`;
  }

  /** Runs inside the click: sound may start only there. */
  async #start(): Promise<void> {
    this.result = this.failure = undefined;
    this.#seconds = this.#since = 0;
    this.phase = 'opening';
    try {
      const over = new Promise<void>((resolve, reject) => {
        this.#done = resolve;
        this.#fail = reject;
      });
      over.catch(() => {});
      const line = new Line({
        message: (message) => this.#receive(message),
        path: () => {},
        away: () => {},
        ended: (failure) => this.#fail(failure ?? new CallFailure('connection-lost')),
        level: (side, rms) => side === 'microphone' && this.#showLevel(rms),
        dead: () => {},
      });
      this.#line = line;
      this.#clock = window.setInterval(() => this.requestUpdate(), REDRAW_MS);
      await Promise.race([line.open(), over]);
      line.start(await within(TOKEN_MS, this.api.json<MediaToken>('v1/check-tokens', {})));
      await within(RESULT_MS, over);
    } catch (error) {
      this.failure = asFailure(error);
    }
    this.#stop();
  }

  #receive(message: GatewayMessage): void {
    if (message.type === 'check-ready') {
      this.#seconds = message.seconds;
      this.#since = performance.now();
      this.phase = 'speaking';
    } else if (message.type === 'check-result') {
      this.result = message;
      this.#done();
    }
  }

  #showLevel(rms: number): void {
    this.renderRoot.querySelector<HTMLElement>('.bar i')?.style.setProperty('--share', levelShare(rms));
  }

  #stop(): void {
    window.clearInterval(this.#clock);
    this.#line?.close();
    this.#line = undefined;
    this.#done();
    this.phase = 'idle';
  }
}

customElements.define('caller-line-check', LineCheck);
