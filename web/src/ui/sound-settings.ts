/**
 * Microphone, loudspeaker, and what the browser does to the voice. What is changed is kept; a call follows it. Where no
 * call goes on, both can be tried.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { failureInWords } from '../i18n/figures';
import { t } from '../i18n/tools';
import { asCallerError } from '../sdk/core';
import type { CallerError } from '../sdk/core';
import { Devices } from '../sdk/devices';
import type { DeviceChoice } from '../sdk/devices';
import { checkboxStyle } from './checkbox';
import { fields } from './fields';
import { levelShare } from './level';
import { meterLook } from './meter-look';
import { theme } from './theme';
import { told } from './told';

const SWITCHES = ['echoCancellation', 'noiseSuppression', 'autoGainControl'] as const;

export class SoundSettings extends LitElement {
  static override properties = fields('canTry', 'microphones', 'speakers', 'isListening', 'failure');
  static override styles = [
    theme,
    told,
    checkboxStyle,
    meterLook,
    css`
      .trial {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 9rem), 1fr));
        gap: var(--space-2);
        margin-block: var(--space-2);
      }
      button[aria-pressed='true'] {
        background: var(--text);
        color: var(--card);
      }
      @media (forced-colors: active) {
        button[aria-pressed='true'] {
          forced-color-adjust: none;
          background: Highlight;
          color: HighlightText;
        }
      }
      :host {
        display: grid;
        gap: var(--space-1);
      }
      .device {
        display: grid;
        gap: var(--space-1);
        margin-block-end: var(--space-2);
        font-size: var(--letters-s);
        color: var(--muted);
      }
      select {
        width: 100%;
        min-width: 0;
        min-height: var(--target-m);
        padding: 0 var(--space-3);
        border: 1px solid var(--muted);
        border-radius: var(--radius-s);
        background: var(--card);
        color: var(--text);
        font: inherit;
      }
    `,
  ];

  /** Whether the devices can be tried: in a call its meters show that they work. */
  declare canTry: boolean;
  declare microphones: MediaDeviceInfo[];
  declare speakers: MediaDeviceInfo[];
  /** The microphone is open, and its level is shown. */
  declare isListening: boolean;
  declare failure: CallerError | undefined;
  readonly #devices = new Devices();
  #stop: () => void = () => {};
  /** Counts what was asked for: only the last trial keeps the microphone. */
  #trials = 0;

  constructor() {
    super();
    this.microphones = this.speakers = [];
    this.canTry = this.isListening = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#devices.on('change', this.#list);
    void this.#list();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#devices.close();
    this.#silence();
  }

  protected override render(): TemplateResult {
    return html`${this.#picker('microphone', this.microphones)}
    ${this.#devices.canChooseSpeaker ? this.#picker('speaker', this.speakers) : nothing}
    ${SWITCHES.map((name) => this.#switch(name))} ${this.canTry ? this.#trial() : nothing}`;
  }

  #trial(): TemplateResult {
    return html`<div class="trial">
        <button type="button" @click=${this.#playTone}>${t('tryTone')}</button>
        <button type="button" aria-pressed=${this.isListening} @click=${this.#listen}>${t('tryMicrophone')}</button>
      </div>
      ${this.isListening
        ? html`<div class="bar" role="img" aria-label=${t('level')}><i></i></div>
            <p class="small muted">${t('trySpeak')}</p>`
        : nothing}
      ${this.failure ? this.#failed(this.failure) : nothing}`;
  }

  #failed(failure: CallerError): TemplateResult {
    const [what, next] = failureInWords(failure);
    return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>`;
  }

  #picker(name: 'microphone' | 'speaker', devices: MediaDeviceInfo[]): TemplateResult {
    const chosen = this.#devices.chosen[name];
    return html`<label class="device">
      ${t(name)}
      <select @change=${(event: Event) => this.#choose({ [name]: (event.target as HTMLSelectElement).value })}>
        <option value="">${t('systemChoice')}</option>
        ${devices.map(
          ({ deviceId, label }, i) => html`<option value=${deviceId} ?selected=${deviceId === chosen}>
            ${label || t('device', { kind: t(name), number: String(i + 1) })}
          </option>`,
        )}
      </select>
    </label>`;
  }

  #switch(name: (typeof SWITCHES)[number]): TemplateResult {
    return html`<label class="checkbox">
      <input
        type="checkbox"
        role="switch"
        .checked=${this.#devices.chosen[name]}
        @change=${(event: Event) => this.#choose({ processing: { [name]: (event.target as HTMLInputElement).checked } })}
      />
      <span>${t(name)}</span>
    </label>`;
  }

  /** What a call cannot use changes nothing of it. */
  #choose(choice: DeviceChoice): void {
    // What is heard is what was chosen before.
    this.#silence();
    void this.#devices.choose(choice).catch(() => {});
  }

  readonly #playTone = async (): Promise<void> => {
    this.failure = undefined;
    try {
      await this.#devices.testSpeaker();
    } catch (error) {
      this.failure = asCallerError(error);
    }
  };

  readonly #listen = async (): Promise<void> => {
    this.failure = undefined;
    if (this.isListening) {
      this.#silence();
      return;
    }
    this.isListening = true;
    const trial = ++this.#trials;
    try {
      const stop = await this.#devices.testMicrophone((rms) => {
        this.renderRoot.querySelector<HTMLElement>('.bar i')?.style.setProperty('--share', levelShare(rms));
      });
      // Closed, or another was chosen, while the browser asked.
      if (trial === this.#trials) this.#stop = stop;
      else stop();
      // Only now do browsers tell the devices' names.
      void this.#list();
    } catch (error) {
      if (trial !== this.#trials) return;
      this.isListening = false;
      this.failure = asCallerError(error);
    }
  };

  /** Give the microphone back. */
  #silence(): void {
    this.isListening = false;
    this.#trials++;
    this.#stop();
    this.#stop = () => {};
  }

  readonly #list = async (): Promise<void> => {
    ({ microphones: this.microphones, speakers: this.speakers } = await this.#devices.list());
  };
}

customElements.define('caller-sound-settings', SoundSettings);
