/** A line chart over time on a canvas, with axes and a legend. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import uPlot from 'uplot';
import { fields } from '../ui/fields';
import type { Timeline } from './board';
import { words } from './call-words';
import { clock, short } from './format';
import { words as common } from './words';

/** A line of a chart: a column of the timeline. */
export interface Line {
  label: string;
  column: number;
  /** Name of a token that is a colour. */
  color: string;
  /** Lengths of stroke and gap: so that lines differ without colours, too. */
  dash?: number[];
  text?: (value: number) => string;
  /** What a value of the column is multiplied with. */
  scale?: number;
}

/** How a legend shows the lines' dashes (CSS `border-style`). */
const STROKES = ['solid', 'dashed', 'dotted'];

const HEIGHT_PX = 190;

/** What a time and the space beside it take of the axis. */
const TIME_PX = 88;

export class Chart extends LitElement {
  static override properties = fields('timeline', 'lines', 'label', 'lastAt');
  // uPlot's own rules (uPlot.min.css), as far as its parts are used here.
  static override styles = css`
    :host {
      display: block;
      min-width: 0;
    }
    .u-wrap {
      position: relative;
    }
    .u-over,
    .u-under,
    .u-axis,
    .u-cursor-x,
    .u-cursor-y,
    .u-cursor-pt {
      position: absolute;
    }
    .u-under {
      overflow: hidden;
    }
    canvas {
      display: block;
      width: 100%;
      height: 100%;
    }
    .u-cursor-x,
    .u-cursor-y,
    .u-cursor-pt {
      inset-block-start: 0;
      left: 0;
      pointer-events: none;
    }
    .u-cursor-x {
      height: 100%;
      border-right: 1px dashed var(--muted);
    }
    .u-cursor-pt {
      border: 3px solid;
      border-radius: 50%;
      /* It is placed as if it had no border. */
      translate: -3px -3px;
    }
    .u-off,
    .u-cursor-y {
      display: none;
    }
    .u-legend {
      display: flex;
      flex-wrap: wrap;
      gap: 0 var(--space-4);
      color: var(--muted);
      font-size: var(--letters-s);
    }
    .u-legend tbody {
      display: contents;
    }
    .u-legend th {
      font-weight: 400;
      text-align: start;
    }
    .u-legend th > * {
      display: inline-block;
      vertical-align: middle;
    }
    .u-marker {
      width: 18px;
      margin-inline-end: var(--space-1);
      border-block-start-width: 3px;
    }
    .u-value {
      min-width: 4em;
      color: var(--text);
      font-variant-numeric: tabular-nums;
    }
  `;

  declare timeline: Timeline;
  declare lines: readonly Line[];
  /** A description of the drawing, for screen readers. */
  declare label: string;
  /** The timeline's last second: the chart is redrawn when it changes. */
  declare lastAt: number | undefined;

  #plot: uPlot | undefined;
  readonly #scheme = matchMedia('(prefers-color-scheme: dark)');
  readonly #size = new ResizeObserver(() => this.#fit());

  override connectedCallback(): void {
    super.connectedCallback();
    this.#scheme.addEventListener('change', this.#redraw);
    this.#size.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#scheme.removeEventListener('change', this.#redraw);
    this.#size.disconnect();
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  protected override render(): TemplateResult {
    return html`<div role="img" aria-label=${this.label}></div>`;
  }

  protected override updated(): void {
    if (this.#plot) this.#plot.setData(this.#data());
    else this.#fit();
  }

  #data(): uPlot.AlignedData {
    const { at, values } = this.timeline;
    const columns = this.lines.map(({ column, scale }) => {
      return scale ? values[column].map((value) => value && value * scale) : values[column];
    });
    return [at, ...columns];
  }

  #fit(): void {
    const width = this.clientWidth;
    const place = this.renderRoot.querySelector('div');
    if (!width || !place) return;
    const size = { width, height: HEIGHT_PX };
    if (this.#plot) this.#plot.setSize(size);
    else this.#plot = new uPlot({ ...size, ...this.#options() }, this.#data(), place);
  }

  readonly #redraw = (): void => {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#fit();
  };

  /** What is the same at every size; colours are those of the scheme when the chart is made. */
  #options(): Omit<uPlot.Options, 'width' | 'height'> {
    const style = getComputedStyle(this);
    const color = (token: string): string => style.getPropertyValue(`--${token}`);
    const series = this.lines.map(({ label, color: token, dash, text }) => ({
      label,
      stroke: color(token),
      width: 1.5,
      points: { show: false },
      ...(dash && { dash }),
      value: (_: uPlot, value: number | null) => (value === null ? common.none : (text?.(value) ?? String(value))),
    }));
    const axis = { stroke: color('muted'), grid: { stroke: color('line'), width: 1 }, ticks: { show: false } };
    return {
      series: [{ label: words.time, value: (_: uPlot, at: number | null) => (at === null ? common.none : clock(at * 1000)) }, ...series],
      padding: [8, TIME_PX / 2 - 8, 0, 0],
      axes: [
        { ...axis, size: 30, space: TIME_PX, values: (_: uPlot, at: number[]) => at.map((second) => clock(second * 1000)) },
        { ...axis, size: 52, values: (_: uPlot, values: number[]) => values.map(short) },
      ],
      cursor: { drag: { x: false, y: false }, sync: { key: 'call' } },
      legend: { markers: { dash: (_: uPlot, which: number) => STROKES[which - 1] } },
    };
  }
}

customElements.define('live-chart', Chart);
