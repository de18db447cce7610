/** The look of a level meter: a bar that is filled by `--share`, 0 to 1. */

import { css } from 'lit';

export const meterLook = css`
  .bar {
    overflow: hidden;
    height: 8px;
    border-radius: var(--radius-round);
    background: var(--soft-strong);
  }
  .bar i {
    display: block;
    height: 100%;
    border-radius: var(--radius-round);
    background: var(--level);
    transform: scaleX(var(--share, 0));
    transform-origin: left;
    transition: transform var(--quick) linear;
  }
  :host(:dir(rtl)) .bar i {
    transform-origin: right;
  }
  @media (forced-colors: active) {
    .bar {
      border: 1px solid CanvasText;
    }
    .bar i {
      forced-color-adjust: none;
      background: Highlight;
    }
  }
`;
