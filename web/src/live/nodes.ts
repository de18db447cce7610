/** What operators see beside calls: the processes that hold calls, and the warnings of all logs. Fires `order` and `ask`. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import { theme } from '../ui/theme';
import type { Board } from './board';
import type { FleetNode, Warning } from './contract';
import type { Question } from './dialog';
import { age, clock, decimal, instant, ms, soon } from './format';
import { bar, fire, look } from './look';
import { words } from './operator-words';
import type { Order } from './requests';
import { words as common } from './words';

export class Nodes extends LitElement {
  static override properties = fields('board', 'fresh', 'nowMs');
  static override styles = [
    theme,
    look,
    css`
      .load {
        min-width: 140px;
      }
      ol {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        flex-wrap: wrap;
        gap: 0 var(--space-3);
        padding-block: var(--space-1);
        border-block-end: 1px solid var(--line);
        font-size: var(--letters-s);
        overflow-wrap: anywhere;
      }
      tbody th {
        min-width: 9rem;
        overflow-wrap: anywhere;
        white-space: normal;
      }
      td button {
        min-height: 36px;
      }
      .words {
        flex: 1 1 12rem;
      }
      li a {
        display: inline-block;
        min-height: 24px;
      }
    `,
  ];

  declare board: Board;
  /** The one of now, though the view is held still. */
  declare fresh: Board;
  declare nowMs: number;

  protected override render(): TemplateResult {
    const { nodes, warnings } = this.board;
    return html`<div class="stack">
      <section class="card">
        <h2 id="nodes">${common.nodes}</h2>
        ${nodes.length ? this.#table(nodes) : html`<p class="muted">${words.noNodes}</p>`}
      </section>
      <section class="card">
        <h2>${words.warnings}</h2>
        ${warnings.length
          ? html`<ol reversed>${[...warnings].reverse().map(warningLine)}</ol>`
          : html`<p class="muted">${words.noWarnings}</p>`}
      </section>
    </div>`;
  }

  #table(nodes: readonly FleetNode[]): TemplateResult {
    const names = words.nodeColumns;
    return html`<div class="scroll" role="region" aria-labelledby="nodes" tabindex="0">
      <table aria-labelledby="nodes">
        <thead>
          <tr>
            <th scope="col">${names.node}</th>
            <th scope="col">${names.state}</th>
            <th scope="col" class="load">${names.load}</th>
            <th scope="col" class="n">${names.lag}</th>
            <th scope="col">${names.log}</th>
            <th scope="col">${names.release}</th>
            <th scope="col">${names.started}</th>
            <th scope="col"><span class="hidden">${names.act}</span></th>
          </tr>
        </thead>
        <tbody>${nodes.map((node) => this.#row(node))}</tbody>
      </table>
    </div>`;
  }

  #row(node: FleetNode): TemplateResult {
    const state = node.is_lost ? `✕ ${words.nodeLost}` : node.is_draining ? `◌ ${words.nodeDraining}` : `● ${words.nodeTaking}`;
    const button = (label: string, act: () => void): TemplateResult => {
      return html`<button type="button" aria-label="${label}: ${node.node}" @click=${act}>${label}</button>`;
    };
    return html`<tr class=${node.is_lost ? 'dim' : ''}>
      <th scope="row">${node.node}</th>
      <td class=${node.is_lost ? 'bad' : node.is_draining ? '' : 'good'}>${state}</td>
      <td>
        ${words.loadOf(decimal(node.calls, 0), decimal(node.calls_max, 0))}
        ${bar(node.calls_max ? node.calls / node.calls_max : 0)}
      </td>
      <td class="n">${node.lag_ms === null ? common.none : ms(node.lag_ms)}</td>
      <td>${logged(node)}</td>
      <td>${node.release}</td>
      <td title=${instant(node.started_at)}>${common.ago(age(this.nowMs - Date.parse(node.started_at)))}</td>
      <td>
        ${node.is_lost
          ? nothing
          : html`${node.is_draining
              ? button(words.undrain, () => fire(this, 'order', telling(node, false, this.fresh)))
              : button(words.drain, () => fire(this, 'ask', draining(node, this.fresh)))}
            ${node.log_level ? button(words.logLevel, () => fire(this, 'ask', levelling(node))) : nothing}`}
      </td>
    </tr>`;
  }
}

/** Return what lets a node take no new calls, or take them again. */
function telling({ node }: FleetNode, isDraining: boolean, board: Board): Order {
  return {
    path: pathOf(node, isDraining ? 'drain' : 'resume'),
    done: (isDraining ? words.drained : words.undrained)(node),
    taken: () => board.tell(node, isDraining, Date.now()),
  };
}

/** Ask whether a node is to take no new calls, which no caller can make where no other takes any. */
function draining(node: FleetNode, board: Board): Question {
  const isLast = (): boolean => {
    return !board.nodes.some((other) => other.node !== node.node && !other.is_lost && !other.is_draining && other.calls < other.calls_max);
  };
  return {
    title: words.drainTitle(node.node),
    get text() {
      return `${isLast() ? words.drainLast : words.drainOthers} ${words.drainText}`;
    },
    yes: words.drain,
    get isDanger() {
      return isLast();
    },
    order: () => telling(node, true, board),
  };
}

function pathOf(node: string, act: string): string {
  return `v1/admin/nodes/${encodeURIComponent(node)}/${act}`;
}

/** Return what a node logs; until when, if that is not its setting. */
function logged({ log_level, log_level_until }: FleetNode): string {
  return log_level_until ? words.logUntil(log_level, soon(log_level_until)) : log_level || common.none;
}

/** Ask from which level on a node is to log, and for how long. */
function levelling({ node }: FleetNode): Question {
  return {
    title: words.logTitle(node),
    text: words.logText,
    yes: words.logYes,
    why: words.logHelp,
    choices: [words.logFrom, words.logLevels],
    order: (reason, choice) => {
      const [level, minutes] = choice.split(' ');
      const body = { level, minutes: Number(minutes), reason };
      return { path: pathOf(node, 'log-level'), body, done: words.logChanged(node) };
    },
  };
}

function warningLine({ at, node, level, event, call_id }: Warning): TemplateResult {
  return html`<li>
    <time datetime=${at} title=${instant(at)}>${clock(at)}</time>
    <span class=${level === 'error' ? 'bad' : ''}>${words.warningLevels[level]}</span>
    <span class="muted">${node}</span>
    <span class="words">${event}</span>
    ${call_id ? html`<a href="#/call/${encodeURIComponent(call_id)}">${words.ofCall}</a>` : nothing}
  </li>`;
}

customElements.define('live-nodes', Nodes);
