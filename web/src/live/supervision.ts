/**
 * Supervision of one call: listen to it, and speak in it as far as its account allows. Fires `ask` where an operator has
 * to say why.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { CallerError, unreachable } from '../sdk/core';
import type { MediaToken, SupervisionMode } from '../sdk/core';
import { MODES, OUT, Supervising, allows, left, speaks, troubleOf } from '../sdk/supervision';
import type { Supervision, Trouble } from '../sdk/supervision';
import { fields } from '../ui/fields';
import { levelShare } from '../ui/level';
import { meterLook } from '../ui/meter-look';
import { theme } from '../ui/theme';
import { isOver, numberOf } from './call-list';
import type { Row } from './contract';
import type { Question } from './dialog';
import { entryOf } from './language';
import { fire, look } from './look';
import { Refusal, ask } from './requests';
import { words } from './supervision-words';

/** Keys that go from one choice to the next, by so many. */
const STEPS: Record<string, number> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** Troubles after which there is nothing to come back to. */
const FINAL = ['call_ended', 'call_not_found'];

export class SupervisionPanel extends LitElement {
  static override properties = fields('row', 'key', 'isOperator', 'supervision');
  static override styles = [
    theme,
    look,
    meterLook,
    css`
      h2,
      legend {
        margin: 0;
        padding: 0;
      }
      legend {
        font-size: var(--letters-s);
        font-weight: 600;
      }
      fieldset {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
        gap: var(--space-2);
        margin: 0;
        padding: 0;
        border: 0;
      }
      legend {
        margin-block-end: var(--space-2);
      }
      .mode {
        display: grid;
        grid-template-columns: auto 1fr;
        place-content: start stretch;
        align-items: start;
        gap: 0 var(--space-2);
        padding: var(--space-3);
        border: 1px solid var(--line);
        border-radius: var(--radius-s);
        cursor: pointer;
      }
      .mode:hover {
        background: var(--soft);
      }
      .mode:has(:checked) {
        border-color: var(--accent);
        box-shadow: inset 0 0 0 1px var(--accent);
      }
      .mode:has(:disabled) {
        border-style: dashed;
        background: none;
        color: var(--muted);
        cursor: default;
      }
      .mode:has(:focus-visible) {
        outline: 3px solid var(--accent);
        outline-offset: 2px;
      }
      .mode input {
        width: 18px;
        min-height: 18px;
        margin-block: 3px;
        accent-color: var(--accent);
        outline: none;
      }
      .mode span {
        grid-column: 2;
      }
      .mode strong {
        font-weight: 600;
      }
      .who {
        padding: var(--space-3);
        border-inline-start: 4px solid var(--line);
        border-radius: var(--radius-s);
        background: var(--soft);
      }
      /* They stay in the page, so that screen readers watch them; what is empty takes no part in the grid. */
      .who:empty,
      [role='alert']:empty {
        position: absolute;
        padding: 0;
        border: 0;
      }
      .on {
        border-color: var(--stop);
        background: var(--alert);
        font-weight: 600;
      }
      .alert {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 2px;
        padding: var(--space-3);
        border-inline-start: 4px solid var(--stop);
        border-radius: var(--radius-s);
        background: var(--alert);
      }
      .alert strong {
        font-weight: 600;
      }
      .alert span {
        overflow-wrap: anywhere;
      }
      @media (hover: none) {
        .keys {
          display: none;
        }
      }
      .meters {
        display: grid;
        grid-template-columns: max-content minmax(0, 24rem);
        justify-content: start;
        align-items: center;
        gap: var(--space-2) var(--space-3);
        font-size: var(--letters-s);
      }
      @media (forced-colors: active) {
        .who,
        .alert {
          border: 1px solid CanvasText;
        }
      }
    `,
  ];

  declare row: Row;
  /** Undefined for somebody who is signed in. */
  declare key: string | undefined;
  declare isOperator: boolean;
  declare supervision: Supervision;

  #supervising: Supervising | undefined;
  /** Why an operator listens, to come back by one click. */
  #reason = '';
  #wasFocused = false;

  constructor() {
    super();
    this.isOperator = false;
    this.supervision = OUT;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#supervising?.leave();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    this.#wasFocused = changed.has('supervision') && this.matches(':focus-within');
    // What is given is the next call.
    const before = changed.get('row');
    if (before && before.id !== this.row.id) {
      this.#supervising?.leave();
      this.#reason = '';
      this.supervision = OUT;
    }
  }

  protected override updated(): void {
    // What was pressed is gone: the focus goes to what has come in its place.
    if (!this.#wasFocused || this.matches(':focus-within')) return;
    this.renderRoot.querySelector<HTMLElement>('input:checked, button')?.focus();
  }

  protected override render(): TemplateResult | typeof nothing {
    const { supervision, row } = this;
    const { phase, trouble } = supervision;
    if (phase === 'out' && !trouble && isOver(row)) return nothing;
    return html`<section class="card stack" aria-labelledby="title">
      <h2 id="title">${words.title}</h2>
      <p class="who ${speaks(supervision.mode) ? 'on' : ''}" role="status">${said(supervision)}</p>
      <div role="alert">${trouble ? this.#trouble(trouble) : nothing}</div>
      ${phase === 'in' ? this.#inside() : phase === 'joining' ? this.#button(words.cancel, this.#leave) : this.#outside()}
    </section>`;
  }

  #outside(): TemplateResult | typeof nothing {
    const { row } = this;
    const { trouble, wasIn } = this.supervision;
    if (isOver(row) || FINAL.includes(trouble?.code ?? '')) return nothing;
    if (row.answered_at === null) return html`<p>${words.notYet}</p>`;
    if (trouble) return this.#button(wasIn ? words.back : words.again, () => this.#join(), 'primary');
    return html`<p>${words.offer}</p>
      ${this.#button(words.listen, this.#listen, 'primary')}`;
  }

  #inside(): TemplateResult {
    const { mode, wanted, most, announced } = this.supervision;
    return html`${wanted !== mode && speaks(wanted) ? html`<p class="small">${words.opening}</p>` : nothing}
      <fieldset @keydown=${this.#step} @change=${this.#choose}>
        <legend>${words.choose}</legend>
        ${MODES.map((each) => choice(each, wanted, allows(most, each)))}
      </fieldset>
      <p class="small muted">
        <span class="keys">${words.hint}</span> ${announced ? words.announced : words.silent} ${allows(most, 'take-over') ? nothing : this.#where()}
      </p>
      <div class="meters">${meter(words.heard)} ${speaks(mode) ? meter(words.own) : nothing}</div>
      ${this.#button(words.leave, this.#leave)}`;
  }

  #trouble({ code, title, action }: Trouble): TemplateResult {
    const [what, next] = entryOf(words.troubles, code) ?? (title ? [title, action] : words.failed);
    return html`<p class="alert">
      <strong>${what}</strong>
      ${next ? html`<span>${next}</span>` : nothing} ${code === 'supervision_refused' ? html`<span>${this.#where()}</span>` : nothing}
    </p>`;
  }

  /** Say where more is allowed. */
  #where(): TemplateResult {
    if (this.isOperator) return html`${words.allowsAny}`;
    return html`${words.allowsOwn} <a href="account/supervision">${words.allowsLink}</a>.`;
  }

  #button(text: string, act: () => void, look = ''): TemplateResult {
    return html`<div><button type="button" class=${look} @click=${act}>${text}</button></div>`;
  }

  readonly #listen = (): void => {
    if (!this.isOperator) return this.#join();
    fire(this, 'ask', {
      title: words.whyTitle(numberOf(this.row)),
      text: words.whyText,
      yes: words.listen,
      why: words.whyHelp,
      order: (reason) => {
        this.#reason = reason;
        this.#join();
        return undefined;
      },
    } satisfies Question);
  };

  /** Begin, or come back, by a grant of its own. */
  #join(): void {
    const { key, row, isOperator } = this;
    this.#supervising?.leave();
    const path = `v1/${isOperator ? 'admin/' : ''}live-calls/${encodeURIComponent(row.id)}/supervision`;
    const body = isOperator ? { reason: this.#reason } : {};
    try {
      const supervising = new Supervising({
        changed: (state) => {
          if (this.#supervising === supervising) this.supervision = state;
        },
        levels: (...levels) => this.#showLevels(levels),
      });
      this.#supervising = supervising;
      void supervising.join(() => granted(key, path, body));
    } catch (error) {
      this.supervision = left(OUT, troubleOf(error));
    }
  }

  readonly #leave = (): void => {
    this.#reason = '';
    this.#supervising?.leave();
  };

  readonly #choose = ({ target }: Event): void => {
    void this.#supervising?.choose((target as HTMLInputElement).value as SupervisionMode);
  };

  /** Arrow keys only move, so that on the way to the last mode no other mode is entered (ARIA Authoring Practices, radio group in a toolbar). */
  readonly #step = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const radios = [...this.renderRoot.querySelectorAll<HTMLInputElement>('input:enabled')];
    const at = radios.indexOf(event.target as HTMLInputElement);
    radios[(at + step + radios.length) % radios.length].focus();
  };

  /** Move the meters; bypasses rendering: it comes ten times a second. */
  #showLevels(levels: number[]): void {
    this.renderRoot.querySelectorAll<HTMLElement>('.bar i').forEach((bar, which) => {
      bar.style.setProperty('--share', levelShare(levels[which]));
    });
  }
}

/** Ask for a grant. Throws CallerError. */
async function granted(key: string | undefined, path: string, body: object): Promise<MediaToken> {
  try {
    return (await ask(key, path, 'POST', body)) as MediaToken;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { status, code, message: detail, action } = error;
    throw status ? new CallerError('request_refused', { code, detail, action }) : unreachable();
  }
}

/** Return who hears the supervisor, in words that stay until that changes: a screen reader reads each once. */
function said({ phase, mode, trouble, wasIn }: Supervision): string | typeof nothing {
  if (phase === 'joining') return words.joining;
  if (phase === 'in') return words.hears[mode];
  return wasIn && !trouble ? words.left : nothing;
}

function choice(mode: SupervisionMode, wanted: SupervisionMode, isAllowed: boolean): TemplateResult {
  const [name, meaning] = words.modes[mode];
  return html`<label class="mode">
    <input type="radio" name="mode" value=${mode} .checked=${mode === wanted} ?disabled=${!isAllowed} />
    <strong>${name}</strong>
    <span class="small">${isAllowed ? meaning : words.notAllowed}</span>
  </label>`;
}

function meter(name: string): TemplateResult {
  return html`<span>${name}</span><span class="bar" aria-hidden="true"><i></i></span>`;
}

customElements.define('live-supervision', SupervisionPanel);
