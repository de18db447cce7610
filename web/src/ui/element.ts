/**
 * What the parts of the page are made of: a custom element with properties, which draws itself by lit-html once for all
 * changes of a moment.
 */

import { nothing, render } from 'lit-html';
import type { TemplateResult } from 'lit-html';

export { html, nothing, svg } from 'lit-html';
export type { TemplateResult } from 'lit-html';

/** Properties that have changed -> what they were before. */
export type Changes = ReadonlyMap<string, unknown>;

/** Return a style sheet; the elements of a page share it. */
export function css([text]: TemplateStringsArray): CSSStyleSheet {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return sheet;
}

export abstract class DrawnElement extends HTMLElement {
  /** Whose changes draw the element anew. */
  static properties: readonly string[] = [];
  static styles: CSSStyleSheet | CSSStyleSheet[] = [];

  readonly renderRoot = this.attachShadow({ mode: 'open' });
  /** Settles once what is shown is what the properties say. */
  updateComplete: Promise<void> = Promise.resolve();
  readonly #values = new Map<string, unknown>();
  #changes = new Map<string, unknown>();
  /** What was set before the browser knew what this element is. */
  #given: [string, unknown][] | undefined = [];
  #isDue = false;

  /** Let the browser make this class of all elements of a name. */
  static define(this: typeof DrawnElement & CustomElementConstructor, name: string): void {
    for (const property of this.properties) {
      Object.defineProperty(this.prototype, property, {
        get(this: DrawnElement) {
          return this.#values.get(property);
        },
        set(this: DrawnElement, value: unknown) {
          this.#set(property, value);
        },
      });
    }
    customElements.define(name, this);
  }

  constructor() {
    super();
    const { properties, styles } = new.target;
    this.renderRoot.adoptedStyleSheets = [styles].flat();
    for (const property of properties.filter((name) => Object.hasOwn(this, name))) {
      this.#given?.push([property, Reflect.get(this, property)]);
      Reflect.deleteProperty(this, property);
    }
  }

  connectedCallback(): void {
    this.requestUpdate();
  }

  disconnectedCallback(): void {}

  /** Draw the element anew, soon. */
  requestUpdate(): void {
    if (this.#isDue || !this.isConnected) return;
    this.#isDue = true;
    this.updateComplete = this.#update(this.updateComplete);
  }

  protected abstract render(): TemplateResult | typeof nothing;

  /** Called before drawing: what is set here is drawn at once. */
  protected willUpdate(_changes: Changes): void {}

  protected firstUpdated(): void {}

  /** Called after drawing: what is set here is drawn next. */
  protected updated(_changes: Changes): void {}

  #set(property: string, value: unknown): void {
    const before = this.#values.get(property);
    if (Object.is(before, value)) return;
    this.#values.set(property, value);
    if (!this.#changes.has(property)) this.#changes.set(property, before);
    this.requestUpdate();
  }

  async #update(before: Promise<void>): Promise<void> {
    // What failed before has been reported.
    await before.catch(() => {});
    const given = this.#given;
    given?.forEach(([property, value]) => Reflect.set(this, property, value));
    this.#given = undefined;
    const changes = this.#changes;
    try {
      this.willUpdate(changes);
      render(this.render(), this.renderRoot, { host: this });
    } finally {
      this.#changes = new Map();
      this.#isDue = false;
    }
    if (given) this.firstUpdated();
    this.updated(changes);
  }
}
