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
    min-width: 44px;
    min-height: 44px;
    padding: 0 16px;
    border: 1px solid transparent;
    border-radius: 12px;
    background: var(--soft);
    cursor: pointer;
    touch-action: manipulation;
    transition:
      background-color 0.15s,
      transform 0.08s;
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
    font-size: 1.0625rem;
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
    border-radius: 24px;
    box-shadow: var(--shadow);
    padding: 24px;
  }
  .muted {
    color: var(--muted);
  }
  .small {
    font-size: 0.875rem;
  }
  .number {
    font-variant-numeric: tabular-nums;
  }
  .alert {
    display: grid;
    gap: 2px;
    padding: 12px 14px;
    border-radius: 14px;
    border-inline-start: 4px solid var(--stop);
    background: var(--alert);
    font-size: 0.9375rem;
    text-align: start;
  }
  .alert strong {
    font-weight: 600;
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
  .hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (forced-colors: active) {
    button,
    .card,
    .alert {
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
