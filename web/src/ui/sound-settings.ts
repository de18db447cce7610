/** Microphone, loudspeaker, and what the browser does to the voice. What is changed is kept; a call follows it. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n/tools';
import { Devices } from '../sdk/devices';
import type { DeviceChoice } from '../sdk/devices';
import { checkboxStyle } from './checkbox';
import { theme } from './theme';

const SWITCHES = ['echoCancellation', 'noiseSuppression', 'autoGainControl'] as const;

export class SoundSettings extends LitElement {
  static override properties = { microphones: { attribute: false }, speakers: { attribute: false } };
  static override styles = [
    theme,
    checkboxStyle,
    css`
      :host {
        display: grid;
        gap: 4px;
      }
      .device {
        display: grid;
        gap: 6px;
        margin-block-end: 8px;
        font-size: 0.875rem;
        color: var(--muted);
      }
      select {
        width: 100%;
        min-width: 0;
        min-height: 48px;
        padding: 0 12px;
        border: 1px solid var(--muted);
        border-radius: 14px;
        background: var(--card);
        color: var(--text);
        font: inherit;
      }
    `,
  ];

  declare microphones: MediaDeviceInfo[];
  declare speakers: MediaDeviceInfo[];
  readonly #devices = new Devices();

  constructor() {
    super();
    this.microphones = this.speakers = [];
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#devices.on('change', this.#list);
    void this.#list();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#devices.close();
  }

  protected override render(): TemplateResult {
    return html`${this.#picker('microphone', this.microphones)}
    ${this.#devices.canChooseSpeaker ? this.#picker('speaker', this.speakers) : nothing}
    ${SWITCHES.map((name) => this.#switch(name))}`;
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
    void this.#devices.choose(choice).catch(() => {});
  }

  readonly #list = async (): Promise<void> => {
    ({ microphones: this.microphones, speakers: this.speakers } = await this.#devices.list());
  };
}

customElements.define('caller-sound-settings', SoundSettings);
