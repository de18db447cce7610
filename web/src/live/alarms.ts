/**
 * The alarms that stand, the raised ones first; a new one is announced, on whichever view. Fires `ask` with what is to be
 * asked and `order` with what is to be done at once.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import { alarmInWords } from './alarm-words';
import type { Alarm } from './contract';
import type { Question } from './dialog';
import { age, clock, instant, soon } from './format';
import { fire, look } from './look';
import { words } from './operator-words';
import type { Order } from './requests';
import { words as common } from './words';

const STATES = ['raised', 'acknowledged', 'silenced'] as const satisfies Alarm['state'][];

export class Alarms extends LitElement {
  static override properties = fields('alarms', 'nowMs', 'isShown', 'isWall', 'announced');
  static override styles = [
    theme,
    look,
    css`
      ul {
        display: grid;
        gap: var(--space-2);
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: var(--space-2) var(--space-4);
        padding: var(--space-2) var(--space-4);
        border-inline-start: 4px solid var(--line);
        overflow-wrap: anywhere;
      }
      .raised {
        border-color: var(--stop);
        background: var(--alert);
        border-radius: var(--radius-s);
      }
      .what {
        flex: 1 1 18rem;
        min-width: 0;
      }
      .wall {
        font-size: clamp(var(--letters-m), 1.2vw, 2rem);
      }
      .wall .raised .title {
        font-size: 1.5em;
      }
      .wall .small {
        font-size: 0.8em;
      }
      .raised .title {
        font-weight: 650;
      }
    `,
  ];

  declare alarms: readonly Alarm[];
  /** The time that ages are counted to, by the server's clock. */
  declare nowMs: number;
  /** Whether they are shown; else new ones are announced only. */
  declare isShown: boolean;
  /** Only shows: nothing can be done. */
  declare isWall: boolean;
  declare announced: string;

  /** Names of those that are raised; undefined before the first are known. */
  #raised: ReadonlySet<string> | undefined;
  /** Those that were announced last. */
  #fresh: readonly Alarm[] = [];

  constructor() {
    super();
    this.alarms = [];
    this.announced = '';
    this.isShown = this.isWall = false;
  }

  /** What is raised already when the page is opened is read with it; each later one is announced once. */
  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('alarms')) return;
    const before = this.#raised;
    const raised = this.alarms.filter(({ state }) => state === 'raised');
    const now = new Set(raised.map(({ name }) => name));
    const fresh = before ? raised.filter(({ name }) => !before.has(name)) : [];
    // What is over is said no longer: should it come again, that is another text, and announced.
    if (fresh.length || this.#fresh.some(({ name }) => !now.has(name))) {
      this.#fresh = fresh;
      this.announced = fresh.length ? words.newAlarm(fresh.map((alarm) => alarmInWords(alarm)[0]).join(' ')) : '';
    }
    this.#raised = now;
  }

  protected override render(): TemplateResult {
    return html`<p class="hidden" role="status">${this.announced}</p>
      ${this.isShown ? this.#list() : nothing}`;
  }

  #list(): TemplateResult {
    const wall = this.isWall ? 'wall' : '';
    if (!this.alarms.length) return html`<p class="muted ${wall}">✓ ${words.noAlarms}</p>`;
    const sorted = STATES.flatMap((state) => this.alarms.filter((alarm) => alarm.state === state));
    return html`<section class="card ${wall}">
      <h2 id="alarms">${words.alarms}</h2>
      <ul aria-labelledby="alarms">${repeat(sorted, ({ name }) => name, (alarm) => this.#alarm(alarm))}</ul>
    </section>`;
  }

  #alarm(alarm: Alarm): TemplateResult {
    const { since, state, by, reason, until } = alarm;
    const [title, action] = alarmInWords(alarm);
    const isRaised = state === 'raised';
    const ago = common.ago(age(this.nowMs - Date.parse(since)));
    const said = [until && words.until(soon(until)), by && words.by(by)].filter(Boolean).join(' ');
    return html`<li class=${isRaised ? 'raised' : 'muted small'}>
      <div class="what">
        <p>
          <strong class=${isRaised ? 'bad' : ''}>${words.alarmStates[state]}</strong> <span class="title">${title}</span>
          <time class="small" datetime=${since} title=${instant(since)}>${words.since(clock(since), ago)}</time>
        </p>
        ${isRaised ? html`<p>${action}</p>` : html`<p>${[said, reason].filter(Boolean).join(': ')}</p>`}
      </div>
      ${this.isWall ? nothing : this.#actions(alarm, title)}
    </li>`;
  }

  #actions(alarm: Alarm, title: string): TemplateResult {
    const { name, state } = alarm;
    const button = (label: string, act: () => void): TemplateResult => {
      return html`<button type="button" aria-label="${label}: ${title}" @click=${act}>${label}</button>`;
    };
    const order: Order = { path: 'v1/admin/alarms/unsilence', body: { name }, done: words.takenBack };
    const takeBack = (): TemplateResult => button(words.takeBack, () => fire(this, 'order', order));
    // What was pressed becomes what takes it back, and keeps the focus.
    return html`<div class="row">
      ${state === 'silenced' ? nothing : state === 'raised' ? button(words.acknowledge, () => fire(this, 'ask', acknowledging(alarm))) : takeBack()}
      ${state === 'silenced' ? takeBack() : button(words.silence, () => fire(this, 'ask', silencing(alarm)))}
    </div>`;
  }
}

function acknowledging(alarm: Alarm): Question {
  const { name } = alarm;
  return {
    title: words.acknowledgeTitle,
    text: alarmInWords(alarm)[0],
    yes: words.acknowledge,
    why: words.acknowledgeHelp,
    order: (reason) => ({ path: 'v1/admin/alarms/acknowledge', body: { name, reason }, done: words.acknowledged }),
  };
}

function silencing(alarm: Alarm): Question {
  const { name } = alarm;
  return {
    title: words.silenceTitle,
    text: alarmInWords(alarm)[0],
    yes: words.silence,
    why: words.silenceHelp,
    choices: [words.silenceFor, words.minutes],
    order: (reason, minutes) => {
      return { path: 'v1/admin/alarms/silence', body: { name, minutes: Number(minutes), reason }, done: words.silenced };
    },
  };
}

customElements.define('live-alarms', Alarms);
