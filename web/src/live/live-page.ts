/** The live page: how the connection is, and one of the views. */

import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import './calls';
import { empty } from './calls';
import type { Calls } from './calls';
import { numberOf } from './call-list';
import type { Row } from './contract';
import './dialog';
import { failureOf } from './dialog';
import type { Dialog, Question } from './dialog';
import { age, decimal } from './format';
import { look } from './look';
import './overview';
import { pageLook } from './page-look';
import type { Order } from './requests';
import { routeOf } from './route';
import type { Route } from './route';
import { Watching } from './watching';
import { words } from './words';

/** Shortest time between redraws: people do not read faster, and five thousand calls make each one expensive. */
const DRAW_MS_MIN = 500;

/** How long the result of an action is shown. */
const TOLD_MS = 15_000;

/** How long it takes until what could not be loaded is tried again. */
const LOADED_AGAIN_MS = 15_000;

/** Parts that are loaded when they are wanted. */
const PARTS = {
  call: () => import('./call'),
  door: () => import('./door'),
  operators: () => import('./operators'),
  reports: () => import('./reports'),
  supervision: () => import('./supervision'),
};

export class LivePage extends LitElement {
  static override properties = fields('route', 'told');
  static override styles = [theme, look, pageLook];

  declare route: Route;
  /** What became of what was asked for. */
  declare told: string;

  readonly #watching = new Watching(() => this.#schedule());
  readonly #title = document.title.replace(/^.*?(?= · )/, words.title);
  #drawnMs = 0;
  /** Whether no calls may be shown, and whether that was so when the page was drawn last. */
  #isOut = false;
  #wasOut = false;
  readonly #loading = new Set<keyof typeof PARTS>();
  readonly #loaded = new Set<keyof typeof PARTS>();
  readonly #missing = new Set<keyof typeof PARTS>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tick: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.told = '';
    this.route = routeOf(location.search, location.hash);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('hashchange', this.#go);
    window.addEventListener('online', this.#watching.retry);
    document.addEventListener('visibilitychange', this.#schedule);
    this.addEventListener('keydown', this.#press);
    this.#tick = setInterval(this.#schedule, 1000);
    void this.#watching.begin().then(() => this.#focusMain());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('hashchange', this.#go);
    window.removeEventListener('online', this.#watching.retry);
    document.removeEventListener('visibilitychange', this.#schedule);
    clearInterval(this.#tick);
    clearTimeout(this.#timer);
    this.#watching.wantDay(false);
    this.#watching.stop();
  }

  /** Draw soon; never twice within half a second. Of a hidden page, nothing is seen but its title. */
  readonly #schedule = (): void => {
    if (document.hidden) return this.#entitle();
    if (this.#timer !== undefined) return;
    const wait = Math.max(0, this.#drawnMs + DRAW_MS_MIN - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#drawnMs = performance.now();
      this.requestUpdate();
    }, wait);
  };

  protected override render(): TemplateResult {
    const isWall = this.route.view === 'wall';
    const main = `${isWall ? 'wide' : ''} ${this.#watching.connection.phase === 'live' ? '' : 'old'}`;
    // `give` is another function each time: so the dialog is drawn with the page, and what it asks follows the news.
    return html`<header class=${isWall ? 'wide' : ''}>
        <slot><h1>Caller</h1></slot>
        ${isWall ? nothing : this.#nav()} ${this.#state(isWall)}
      </header>
      <main tabindex="-1" class=${main}>${this.#main()}</main>
      <p class="told" role="status">${this.told}</p>
      <live-dialog
        .give=${(order: Order) => this.#watching.give(order)}
        @told=${({ detail }: CustomEvent<string>) => this.#tell(detail)}
      ></live-dialog>`;
  }

  protected override updated(): void {
    this.#entitle();
    // Without access, or with the question about the key open, nothing else is asked.
    if (this.#isOut || this.#watching.isAsked) this.#dialog?.close();
    if (this.#wasOut && !this.#isOut) this.#focusMain();
    this.#wasOut = this.#isOut;
  }

  #entitle(): void {
    const { board } = this.#watching;
    const alarms = board.raised ? `▲ ${board.raised} ` : '';
    const title = board.heardMs ? `${alarms}(${board.totals?.calls ?? board.rows.size}) ${this.#title}` : this.#title;
    if (document.title !== title) document.title = title;
  }

  #nav(): TemplateResult {
    const { isOperator, board } = this.#watching;
    const alarms = board.raised ? html` <span class="bad">▲ ${words.alarms(board.raised)}</span>` : nothing;
    const link = (view: Route['view'], path: string, text: unknown): TemplateResult => {
      return html`<a href="#/${path}" aria-current=${this.route.view === view ? 'page' : nothing}>${text}</a>`;
    };
    return html`<nav aria-label=${words.views}>
      ${link('overview', '', html`${words.overview}${alarms}`)} ${link('calls', 'calls', words.calls)}
      ${isOperator
        ? html`${link('nodes', 'nodes', words.nodes)} ${link('fraud', 'fraud', words.fraud)} ${link('credit', 'credit', words.credit)}`
        : nothing}
      ${link('wall', 'wall', words.wall)}
      <a href="phone">${words.phone}</a>
    </nav>`;
  }

  /** Only what the connection is, is announced: a count of seconds would never end. */
  #state(isWall: boolean): TemplateResult {
    const { connection, held, board } = this.#watching;
    const { phase } = connection;
    const isFresh = phase === 'live' || !board.heardMs;
    return html`<div class="state row">
      <span role="status" class=${phase}>${this.#phase()}</span>
      ${phase === 'waiting'
        ? html`<span>${words.tryingIn(Math.max(0, Math.ceil((connection.untilMs - Date.now()) / 1000)))}</span>`
        : nothing}
      ${isFresh ? nothing : html`<span>${words.shownAge(age(Date.now() - board.heardMs))}</span>`}
      ${isWall || phase !== 'waiting' ? nothing : html`<button type="button" @click=${this.#watching.retry}>${words.retryNow}</button>`}
      ${held ? html`<span>${paused(board.changes - held.board.changes)}</span>` : nothing}
      ${isWall || phase === 'ended'
        ? nothing
        : html`<button type="button" @click=${() => this.#watching.pause()}>${held ? words.resume : words.pause}</button>`}
    </div>`;
  }

  #phase(): string {
    const { connection } = this.#watching;
    switch (connection.phase) {
      case 'ended':
        return `✕ ${words.noAccess}`;
      case 'waiting':
        return connection.status === 503 ? words.busy : connection.status === 429 ? words.slow : `✕ ${words.lost}`;
      case 'live':
        return `● ${words.live}`;
      default:
        return words.connecting;
    }
  }

  #main(): TemplateResult | typeof nothing {
    const { connection, isAsked } = this.#watching;
    if (isAsked) return this.#question();
    // While another key is tried, what asks for one stays.
    if (connection.phase !== 'connecting') this.#isOut = connection.phase === 'ended';
    if (this.#isOut && this.#has('door')) {
      return html`<live-door
        .connection=${connection}
        .hasKey=${this.#watching.key !== undefined}
        @key-given=${this.#open}
        @not-a-key=${() => this.#watching.refuseKey()}
        @try-again=${this.#open}
        @forget-key=${() => this.#watching.forgetKey()}
      ></live-door>`;
    }
    return html`${this.#missing.size ? html`<p role="alert">${words.partMissing}</p>` : nothing} ${this.#alarms()} ${this.#view()}`;
  }

  /** They are those of now though the view is held still, and are there in each view: a new one is announced. */
  #alarms(): TemplateResult | typeof nothing {
    const { board, isOperator, nowMs } = this.#watching;
    if (!isOperator || !board.heardMs) return nothing;
    if (!this.#has('operators')) return nothing;
    const { view } = this.route;
    const isWall = view === 'wall';
    const isShown = isWall || view === 'overview';
    return html`<live-alarms
      class=${isShown ? '' : 'hidden'}
      .alarms=${board.alarms}
      .nowMs=${nowMs}
      .isShown=${isShown}
      .isWall=${isWall}
      @ask=${this.#ask}
      @order=${this.#order}
    ></live-alarms>`;
  }

  /** Return whether a part is there; one that is not is loaded. */
  #has(name: keyof typeof PARTS): boolean {
    if (!this.#loading.has(name)) void this.#load(name);
    return this.#loaded.has(name);
  }

  async #load(name: keyof typeof PARTS): Promise<void> {
    this.#loading.add(name);
    try {
      await PARTS[name]();
      this.#loaded.add(name);
      this.#missing.delete(name);
    } catch {
      // The gateway is away, or another release is running by now: then the page has to be reloaded.
      this.#missing.add(name);
      setTimeout(() => this.#loading.delete(name), LOADED_AGAIN_MS);
    }
    this.#schedule();
  }

  #view(): TemplateResult | typeof nothing {
    const { held, isOperator, key, maySupervise } = this.#watching;
    const { board, nowMs } = held ?? this.#watching;
    const { view, callId, longMinutes } = this.route;
    if (!this.#watching.board.heardMs) return nothing;
    if (view === 'call') {
      if (!this.#has('call')) return nothing;
      return html`<live-call
        .address=${this.#watching.feedAddress(callId)}
        .key=${key}
        .isOperator=${isOperator}
        .isHeld=${held !== undefined}
        .maySupervise=${maySupervise && this.#has('supervision')}
        @end-call=${this.#askToEnd}
        @ask=${this.#ask}
      ></live-call>`;
    }
    if (view === 'nodes' && isOperator) {
      return html`<live-nodes
        .board=${board}
        .fresh=${this.#watching.board}
        .nowMs=${nowMs}
        @ask=${this.#ask}
        @order=${this.#order}
      ></live-nodes>`;
    }
    if ((view === 'fraud' || view === 'credit') && isOperator) {
      if (!this.#has('reports')) return nothing;
      const source = this.#watching.reports[view];
      return view === 'fraud'
        ? html`<live-fraud .source=${source} .isHeld=${held !== undefined} .nowMs=${nowMs}></live-fraud>`
        : html`<live-credit .source=${source} .isHeld=${held !== undefined} .board=${board} .nowMs=${nowMs}></live-credit>`;
    }
    if (view === 'calls') {
      return html`<live-calls
        .board=${board}
        .nowMs=${nowMs}
        .isOperator=${isOperator}
        .longMinutes=${longMinutes}
        @end-call=${this.#askToEnd}
      ></live-calls>`;
    }
    const isWall = view === 'wall';
    return html`${board.totals?.calls || isWall ? nothing : empty(isOperator)}
      <live-overview
        .board=${board}
        .nowMs=${nowMs}
        .day=${this.#watching.day}
        .hasDay=${isOperator}
        .isWall=${isWall}
        @day=${({ detail }: CustomEvent<{ isDay: boolean }>) => this.#watching.wantDay(detail.isDay)}
      ></live-overview>`;
  }

  #question(): TemplateResult {
    return html`<section class="card stack" role="alertdialog" aria-labelledby="offer">
      <h2 id="offer">${words.offerTitle}</h2>
      <p>${words.offerText}</p>
      <div class="row">
        <button type="button" class="primary" @click=${() => this.#watching.answer(false)}>${words.offerStay}</button>
        <button type="button" @click=${() => this.#watching.answer(true)}>${words.offerChange}</button>
      </div>
    </section>`;
  }

  readonly #open = (): void => void this.#watching.open();

  readonly #go = (): void => {
    if (location.hash.startsWith('#key=')) return void this.#watching.begin();
    const before = this.route;
    this.route = routeOf(location.search, location.hash);
    this.told = '';
    if (before.view === this.route.view) return;
    this.#watching.wantDay(false);
    this.#focusMain();
  };

  /** So that the page's keys act, and a screen reader reads the view. */
  #focusMain(): void {
    this.renderRoot.querySelector('main')?.focus({ preventScroll: true });
  }

  /** Single letters act only while the focus is in the page, and where nothing is written (WCAG 2.2, 2.1.4). */
  readonly #press = (event: KeyboardEvent): void => {
    const [target] = event.composedPath();
    const isWritten = target instanceof HTMLElement && target.matches('input, select, textarea, dialog *');
    if (isWritten || event.ctrlKey || event.metaKey || event.altKey || this.route.view === 'wall') return;
    const table = this.renderRoot.querySelector<Calls>('live-calls');
    if (event.key === 'p') this.#watching.pause();
    else if (event.key === '/' && table) table.focusFilter();
    else return;
    event.preventDefault();
  };

  readonly #askToEnd = ({ detail: row }: CustomEvent<Row>): void => {
    const detail: Question = {
      title: words.endTitle(numberOf(row)),
      text: words.endText,
      yes: words.endCall,
      isDanger: true,
      why: this.#watching.isOperator ? words.endReasonHelp : undefined,
      order: (reason) => this.#watching.ending(row, reason),
    };
    this.#ask({ detail });
  };

  readonly #ask = ({ detail }: { detail: Question }): void => void this.#dialog?.ask(detail);

  get #dialog(): Dialog | null {
    return this.renderRoot.querySelector<Dialog>('live-dialog');
  }

  readonly #order = async ({ detail: order }: CustomEvent<Order>): Promise<void> => {
    try {
      await this.#watching.give(order);
      this.#tell(order.done);
    } catch (error) {
      this.#tell(failureOf(error));
    }
  };

  /** Tell for a while what became of what was asked for. */
  #tell(text: string): void {
    this.told = text;
    setTimeout(() => {
      if (this.told === text) this.told = '';
    }, TOLD_MS);
  }
}

function paused(changes: number): string {
  return words.paused(decimal(changes, 0), changes);
}

customElements.define('live-app', LivePage);
