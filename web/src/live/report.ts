/** A view that asks for a report, now and every 15 seconds, while it is open, seen and not held still. */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { failureOf } from './dialog';
import { clock, decimal } from './format';
import { words } from './report-words';
import { Refusal } from './requests';

const EVERY_MS = 15_000;

/** What reports share in looks. */
export const reportLook = css`
  .note {
    max-width: 70ch;
    margin-block-start: var(--space-2);
    color: var(--muted);
    font-size: var(--letters-s);
  }
  /* A number and a word that begin and end beside each other read as one. */
  .n + :not(.n) {
    padding-inline-start: var(--space-4);
  }
`;

export abstract class Report<T extends { at: string }> extends LitElement {
  /** Asks for it; undefined for one that is given. Throws Refusal. */
  declare source: (() => Promise<unknown>) | undefined;
  declare isHeld: boolean;
  /** The server's time. */
  declare nowMs: number;
  declare report: T | undefined;
  /** Why the last one could not be had. */
  declare failure: string;

  #timer: ReturnType<typeof setInterval> | undefined;
  #isAsking = false;

  constructor() {
    super();
    this.isHeld = false;
    this.failure = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#timer = setInterval(this.#ask, EVERY_MS);
    document.addEventListener('visibilitychange', this.#ask);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#timer);
    document.removeEventListener('visibilitychange', this.#ask);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('source') || changed.has('isHeld')) void this.#ask();
  }

  readonly #ask = async (): Promise<void> => {
    if (!this.source || this.isHeld || document.hidden || this.#isAsking) return;
    this.#isAsking = true;
    try {
      const report = (await this.source()) as T;
      // Somebody who has paused the view wants to read what is there.
      if (!this.isHeld) [this.report, this.failure] = [report, ''];
    } catch (error) {
      this.failure = error instanceof Refusal && !error.status ? words.unreachable : failureOf(error);
    } finally {
      this.#isAsking = false;
    }
  };

  /** Return how new the report is, and why there is no newer one. */
  protected state(): TemplateResult {
    return html`<div>
      <p class="muted">${this.report ? words.asOf(clock(this.report.at)) : this.failure ? nothing : words.loading}</p>
      <p class="bad" role="status">${this.failure ? `✕ ${words.failed(this.failure)}` : nothing}</p>
    </div>`;
  }
}

/** Return a table below its heading, in a part of the page that is scrolled sideways where it is narrow. */
export function table(id: string, heading: string, caption: string, head: TemplateResult[], rows: TemplateResult[]): TemplateResult {
  return html`<h2 id=${id}>${heading}</h2>
    <div class="scroll" role="region" aria-labelledby=${id} tabindex="0">
      <table>
        <caption><span class="hidden">${caption}</span></caption>
        <thead><tr>${head}</tr></thead>
        <tbody>${rows}</tbody>
      </table>
    </div>`;
}

/** Return how many accounts of all are listed, where some are not. */
export function shown(listed: number, total: number): TemplateResult | typeof nothing {
  return total > listed ? html`<p class="note">${words.shown(decimal(listed, 0), decimal(total, 0))}</p>` : nothing;
}

/** Return the heading of a column. */
export function column(name: string, place = ''): TemplateResult {
  return html`<th scope="col" class=${place}>${name}</th>`;
}
