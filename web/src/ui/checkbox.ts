/** How a checkbox and its words look: a target of 44 px around a box of 22. */

import { css } from 'lit';

export const checkboxStyle = css`
  .checkbox {
    display: grid;
    grid-template-columns: 44px 1fr;
    align-items: center;
    margin-inline-start: -11px;
  }
  .checkbox input {
    appearance: none;
    display: grid;
    place-items: center;
    width: 44px;
    height: 44px;
    margin: 0;
    cursor: pointer;
  }
  .checkbox input::before {
    content: '';
    display: grid;
    place-items: center;
    width: 22px;
    height: 22px;
    border: 2px solid var(--muted);
    border-radius: var(--radius-s);
    color: var(--on-go);
    font-weight: 700;
    font-size: var(--letters-s);
  }
  .checkbox input:checked::before {
    content: '✓';
    border-color: var(--go);
    background: var(--go);
  }
  .checkbox input:disabled {
    cursor: default;
    opacity: 0.55;
  }
  .checkbox input:focus-visible {
    outline-offset: -6px;
    border-radius: var(--radius-s);
  }
  @media (forced-colors: active) {
    .checkbox input:checked::before {
      color: CanvasText;
    }
  }
`;
