/** Microphone, loudspeaker, and what the browser does to the voice. Keeps what is changed, and fires `changed` then. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { chooseSound, soundChoice } from '../call/sound-choice';
import type { SoundChoice } from '../call/sound-choice';
import { t } from '../i18n/tools';
import { checkboxStyle } from './checkbox';
import { theme } from './theme';

const SWITCHES = ['echoCancellation', 'noiseSuppression', 'autoGainControl'] as const;

export class SoundSettings extends LitElement {
  static override properties = { devices: { attribute: false } };
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

  declare devices: MediaDeviceInfo[];

  constructor() {
    super();
    this.devices = [];
  }

  override connectedCallback(): void {
    super.connectedCallback();
    navigator.mediaDevices?.addEventListener('devicechange', this.#list);
    void this.#list();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    navigator.mediaDevices?.removeEventListener('devicechange', this.#list);
  }

  protected override render(): TemplateResult {
    return html`${this.#picker('microphone', 'audioinput')}
    ${'setSinkId' in HTMLMediaElement.prototype ? this.#picker('speaker', 'audiooutput') : nothing}
    ${SWITCHES.map((name) => this.#switch(name))}`;
  }

  #picker(name: 'microphone' | 'speaker', kind: MediaDeviceKind): TemplateResult {
    const chosen = soundChoice()[name];
    // Without a permission the browser tells neither names nor ids.
    const devices = this.devices.filter((device) => device.kind === kind && device.deviceId);
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
        .checked=${soundChoice()[name]}
        @change=${(event: Event) => this.#choose({ [name]: (event.target as HTMLInputElement).checked })}
      />
      <span>${t(name)}</span>
    </label>`;
  }

  #choose(changes: Partial<SoundChoice>): void {
    chooseSound(changes);
    this.dispatchEvent(new CustomEvent('changed'));
  }

  readonly #list = async (): Promise<void> => {
    this.devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  };
}

customElements.define('caller-sound-settings', SoundSettings);
