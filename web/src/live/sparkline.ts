/** A line beside a figure: what it has been lately. Without axes; what it is now is written above it. */

import { LitElement, css, html, svg } from 'lit';
import type { TemplateResult } from 'lit';
import { fields } from '../ui/fields';
import type { Timeline } from './board';
import { HEIGHT, WIDTH, pointsOf } from './sparkline-points';

export class Sparkline extends LitElement {
  static override properties = fields('timeline', 'column', 'label', 'lastAt');
  static override styles = css`
    :host,
    svg {
      display: block;
      width: 100%;
      height: 36px;
    }
    polyline {
      fill: none;
      stroke: var(--accent);
      stroke-width: 1.5;
      vector-effect: non-scaling-stroke;
    }
  `;

  declare timeline: Timeline;
  declare column: number;
  /** A description of the drawing, for screen readers. */
  declare label: string;
  /** The timeline's last second: the line is redrawn when it changes. */
  declare lastAt: number | undefined;

  protected override render(): TemplateResult {
    return html`<svg viewBox="0 -3 ${WIDTH} ${HEIGHT + 6}" preserveAspectRatio="none" role="img" aria-label=${this.label}>
      ${pointsOf(this.timeline, this.column).map((points) => svg`<polyline points=${points} />`)}
    </svg>`;
  }
}

customElements.define('live-sparkline', Sparkline);
