/** “Test my line”: the voice goes to the gateway and back for some seconds, and a verdict follows. It places no call. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Api } from '../api';
import { failureInWords } from '../i18n/figures';
import { t, verdictInWords } from '../i18n/tools';
import { checkLine } from '../sdk/check';
import type { CheckReport } from '../sdk/check';
import { asCallerError } from '../sdk/core';
import type { CallerError, MediaToken } from '../sdk/core';
import { fields } from './fields';
import { levelShare } from './level';
import { meterLook } from './meter-look';
import { theme } from './theme';
import { told } from './told';

const REDRAW_MS = 100;

export class LineCheck extends LitElement {
  static override properties = fields('api', 'phase', 'result', 'failure');
  static override styles = [
    theme,
    told,
    meterLook,
    css`
      :host {
        display: grid;
        gap: var(--space-3);
        padding: var(--space-4);
        border: 1px solid var(--line);
        border-radius: var(--radius-m);
      }
      progress {
        width: 100%;
        height: 8px;
        accent-color: var(--go);
      }
      .verdict {
        display: grid;
        gap: 2px;
      }
      .verdict strong {
        font-size: var(--letters-l);
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
  declare result: CheckReport | undefined;
  declare failure: CallerError | undefined;
  #running: AbortController | undefined;
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
    const running = (this.#running = new AbortController());
    this.#clock = window.setInterval(() => this.requestUpdate(), REDRAW_MS);
    try {
      this.result = await checkLine(() => this.api.json<MediaToken>('v1/check-tokens', {}), {
        origin: location.origin,
        speaking: (seconds) => this.#speaking(seconds),
        level: (rms) => this.#showLevel(rms),
        signal: running.signal,
      });
    } catch (error) {
      if (!running.signal.aborted) this.failure = asCallerError(error);
    }
    this.#stop();
  }

  #speaking(seconds: number): void {
    this.#seconds = seconds;
    this.#since = performance.now();
    this.phase = 'speaking';
  }

  #showLevel(rms: number): void {
    this.renderRoot.querySelector<HTMLElement>('.bar i')?.style.setProperty('--share', levelShare(rms));
  }

  #stop(): void {
    window.clearInterval(this.#clock);
    this.#running?.abort();
    this.phase = 'idle';
  }
}

customElements.define('caller-line-check', LineCheck);
