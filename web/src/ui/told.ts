/** The look of announcements: text on its own background, or for screen readers only. */

import { css } from 'lit';

export const told = css`
  .alert {
    display: grid;
    gap: 2px;
    padding: var(--space-3);
    border-radius: var(--radius-s);
    border-inline-start: 4px solid var(--stop);
    background: var(--alert);
    font-size: var(--letters-s);
    text-align: start;
  }
  .alert strong {
    font-weight: 600;
  }
  .hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (forced-colors: active) {
    .alert {
      border: 1px solid ButtonText;
    }
  }
`;
