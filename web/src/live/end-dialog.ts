/** Asks whether a call is to end, and operators why. Fires `call-ended` with its row once the gateway has taken it. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { numberOf } from './call-list';
import type { Row } from './contract';
import { look } from './look';
import { Refusal } from './requests';
import { words } from './words';

/** Characters of a reason, as the gateway's audit log keeps them. */
const REASON_MAX = 500;

export class EndDialog extends LitElement {
  static override properties = fields('row', 'asksWhy', 'end', 'complaint', 'isBusy');
  static override styles = [
    theme,
    look,
    css`
      dialog {
        width: min(28rem, calc(100vw - 32px));
        padding: var(--space-5);
        border: 1px solid var(--line);
        border-radius: var(--radius-m);
        background: var(--card);
        color: var(--text);
      }
      dialog::backdrop {
        background: var(--backdrop);
      }
      label {
        display: grid;
        gap: var(--space-1);
        font-weight: 600;
      }
      .alert {
        padding: var(--space-3);
        border-radius: var(--radius-s);
        background: var(--alert);
      }
    `,
  ];

  declare row: Row | undefined;
  declare asksWhy: boolean;
  /** Ends the call; throws Refusal. */
  declare end: (callId: string, reason: string) => Promise<void>;
  declare complaint: string;
  declare isBusy: boolean;

  constructor() {
    super();
    this.complaint = '';
    this.asksWhy = this.isBusy = false;
  }

  /** Ask about a call. */
  async ask(row: Row): Promise<void> {
    this.row = row;
    this.complaint = '';
    await this.updateComplete;
    this.renderRoot.querySelector('form')?.reset();
    this.#dialog?.showModal();
  }

  get #dialog(): HTMLDialogElement | null {
    return this.renderRoot.querySelector('dialog');
  }

  protected override render(): TemplateResult {
    const { row } = this;
    return html`<dialog aria-labelledby="title" @close=${() => (this.row = undefined)}>
      ${row
        ? html`<form class="stack" @submit=${this.#submit}>
            <h2 id="title">${words.endTitle(numberOf(row))}</h2>
            <p>${words.endText}</p>
            ${this.asksWhy
              ? html`<label>
                    ${words.endReason}
                    <input name="reason" required maxlength=${REASON_MAX} autocomplete="off" aria-describedby="help" />
                  </label>
                  <p id="help" class="small muted">${words.endReasonHelp}</p>`
              : nothing}
            ${this.complaint ? html`<p class="alert" role="alert">${this.complaint}</p>` : nothing}
            <div class="row">
              <button type="button" @click=${() => this.#dialog?.close()}>${words.cancel}</button>
              <button type="submit" class="danger end" ?disabled=${this.isBusy}>${words.endCall}</button>
            </div>
          </form>`
        : nothing}
    </dialog>`;
  }

  readonly #submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const { row } = this;
    if (!row || this.isBusy) return;
    const reason = new FormData(event.target as HTMLFormElement).get('reason');
    this.isBusy = true;
    this.complaint = '';
    try {
      await this.end(row.id, String(reason ?? '').trim());
      this.#dialog?.close();
      this.dispatchEvent(new CustomEvent('call-ended', { detail: row }));
    } catch (error) {
      this.complaint = failureOf(error);
    } finally {
      this.isBusy = false;
    }
  };
}

/** Return why something was refused, in words. */
export function failureOf(error: unknown): string {
  if (!(error instanceof Refusal)) throw error;
  return error.status ? error.message || words.failed : words.unreachable;
}

customElements.define('live-end-dialog', EndDialog);
