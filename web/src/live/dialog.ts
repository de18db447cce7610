/** Asks before something is done, and operators why. Fires `told` with what became of it once the gateway has taken it. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { entryOf, ofGateway } from './language';
import { look } from './look';
import { Refusal } from './requests';
import type { Order } from './requests';
import { words } from './words';

/** Characters of a reason, as the gateway's audit log keeps them. */
const REASON_MAX = 300;

/** What is asked. A getter is read again each time the page is drawn: so what it says follows the news. */
export interface Question {
  title: string;
  text: string;
  yes: string;
  isDanger?: boolean;
  /** What becomes of the reason; undefined where none is asked for. */
  why?: string | undefined;
  /** What can be chosen: its name, and the text of each value. */
  choices?: readonly [string, Record<string, string>];
  /** Return the result of the answer, or nothing if the caller does the rest. Called inside the click. */
  order(reason: string, choice: string): Order | undefined;
}

export class Dialog extends LitElement {
  static override properties = fields('question', 'give', 'complaint', 'isBusy');
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
        overflow-wrap: anywhere;
      }
      dialog::backdrop {
        background: var(--backdrop);
      }
      .alert {
        padding: var(--space-3);
        border-radius: var(--radius-s);
        background: var(--alert);
      }
    `,
  ];

  declare question: Question | undefined;
  /** Gives the order; throws Refusal. */
  declare give: (order: Order) => Promise<void>;
  declare complaint: string;
  declare isBusy: boolean;

  constructor() {
    super();
    this.complaint = '';
    this.isBusy = false;
  }

  /** Ask. */
  async ask(question: Question): Promise<void> {
    this.question = question;
    this.complaint = '';
    await this.updateComplete;
    this.renderRoot.querySelector('form')?.reset();
    this.#dialog?.showModal();
  }

  /** Ask no longer. */
  readonly close = (): void => this.#dialog?.close();

  get #dialog(): HTMLDialogElement | null {
    return this.renderRoot.querySelector('dialog');
  }

  protected override render(): TemplateResult {
    const { question } = this;
    return html`<dialog aria-labelledby="title" aria-describedby="text" @close=${this.#forget}>
      ${question ? this.#form(question) : nothing}
    </dialog>`;
  }

  #form({ title, text, yes, isDanger, why, choices }: Question): TemplateResult {
    return html`<form class="stack" @submit=${this.#submit}>
      <h2 id="title">${title}</h2>
      <p id="text" aria-live="polite">${text}</p>
      ${choices
        ? html`<label class="field">
            ${choices[0]}
            <select name="choice">
              ${Object.entries(choices[1]).map(([value, each]) => html`<option value=${value}>${each}</option>`)}
            </select>
          </label>`
        : nothing}
      ${why
        ? html`<label class="field">
              ${words.reason}
              <input name="reason" required maxlength=${REASON_MAX} autocomplete="off" aria-describedby="help" />
            </label>
            <p id="help" class="small muted">${why}</p>`
        : nothing}
      ${this.complaint ? html`<p class="alert" role="alert">${this.complaint}</p>` : nothing}
      <div class="row">
        <button type="button" @click=${this.close}>${words.cancel}</button>
        <button type="submit" class="${isDanger ? 'danger' : 'primary'} end" aria-disabled=${this.isBusy}>${yes}</button>
      </div>
    </form>`;
  }

  /** It fires late: another question may be open by then. */
  readonly #forget = (): void => {
    if (!this.#dialog?.open) this.question = undefined;
  };

  readonly #submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const { question } = this;
    if (!question || this.isBusy) return;
    const answer = new FormData(event.target as HTMLFormElement);
    const [reason, choice] = ['reason', 'choice'].map((name) => String(answer.get(name) ?? '').trim());
    const order = question.order(reason, choice);
    if (!order) return this.close();
    this.isBusy = true;
    this.complaint = '';
    try {
      await this.give(order);
      this.close();
      this.dispatchEvent(new CustomEvent('told', { detail: order.done }));
    } catch (error) {
      this.complaint = failureOf(error);
    } finally {
      this.isBusy = false;
    }
  };
}

/** Return why something was refused: the gateway's words in English, a table's in other languages. */
export function failureOf(error: unknown): string {
  if (!(error instanceof Refusal)) throw error;
  if (!error.status) return words.unreachable;
  const said = ofGateway()?.problems;
  return (said && entryOf(said, error.code)) || error.message || words.failed;
}

customElements.define('live-dialog', Dialog);
