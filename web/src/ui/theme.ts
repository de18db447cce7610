/** The look every part shares. Colours meet WCAG 2.2 AA on both schemes; the page's own are in page.css. */

import { css } from 'lit';

export const theme = css`
  :host {
    display: block;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  button,
  input {
    font: inherit;
    color: inherit;
  }
  button {
    min-width: var(--target);
    min-height: var(--target);
    padding: 0 var(--space-4);
    border: 1px solid transparent;
    border-radius: var(--radius-s);
    background: var(--soft);
    cursor: pointer;
    touch-action: manipulation;
    transition:
      background-color var(--quick),
      transform var(--quick);
  }
  button:hover {
    background: var(--soft-strong);
  }
  button:active {
    transform: scale(0.97);
  }
  button:disabled {
    cursor: default;
    opacity: 0.55;
  }
  :focus-visible {
    outline: 3px solid var(--accent);
    outline-offset: 2px;
  }
  h1,
  h2,
  p,
  ul,
  dl,
  dd {
    margin: 0;
  }
  h2 {
    font-size: var(--letters-l);
    font-weight: 600;
  }
  svg {
    display: block;
    fill: none;
    stroke: currentColor;
    stroke-width: 2;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .card {
    background: var(--card);
    border: 1px solid var(--line);
    border-radius: var(--radius-l);
    box-shadow: var(--shadow);
    padding: var(--space-6);
  }
  .muted {
    color: var(--muted);
  }
  .small {
    font-size: var(--letters-s);
  }
  .number {
    font-variant-numeric: tabular-nums;
  }
  .primary {
    background: var(--go);
    color: var(--on-go);
    font-weight: 600;
  }
  .primary:hover {
    background: var(--go-strong);
  }
  .danger {
    background: var(--stop);
    color: var(--on-stop);
    font-weight: 600;
  }
  .danger:hover {
    background: var(--stop-strong);
  }
  @media (forced-colors: active) {
    button,
    .card {
      border: 1px solid ButtonText;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    * {
      transition: none !important;
      animation: none !important;
    }
    button:active {
      transform: none;
    }
  }
`;
