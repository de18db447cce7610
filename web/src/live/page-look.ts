/** The looks of the live page around its views. */

import { css } from 'lit';

export const pageLook = css`
  header,
  main,
  .told {
    width: min(100%, 1440px);
    margin-inline: auto;
    padding-inline: max(var(--space-4), env(safe-area-inset-left));
  }
  .wide {
    max-width: none;
    width: 100%;
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--space-2) var(--space-5);
    padding-block: var(--space-3);
  }
  header ::slotted(img) {
    height: 32px;
  }
  h1,
  ::slotted(h1) {
    font-size: var(--letters-l);
    font-weight: 650;
  }
  nav {
    display: flex;
    flex-wrap: wrap;
    gap: 0 var(--space-4);
  }
  nav a {
    padding-block: var(--space-2);
    color: inherit;
    text-decoration: none;
  }
  nav a:hover {
    text-decoration: underline;
  }
  nav a[aria-current] {
    border-block-end: 2px solid var(--accent);
    font-weight: 600;
  }
  .state {
    margin-inline-start: auto;
    min-height: var(--target);
    font-size: var(--letters-s);
  }
  .live {
    color: var(--go);
    font-weight: 600;
  }
  .waiting,
  .ended {
    color: var(--stop);
    font-weight: 600;
  }
  main {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--space-4);
    padding-block-end: var(--space-6);
  }
  main:focus {
    outline: none;
  }
  /* What is shown is no longer so. */
  .old {
    filter: grayscale(1);
    opacity: 0.85;
  }
  .told:empty {
    display: none;
  }
  .told {
    position: sticky;
    inset-block-end: 0;
    padding-block: var(--space-3);
    background: var(--card);
    border-block-start: 1px solid var(--line);
  }
  [role='alertdialog'] {
    max-width: 440px;
    margin-inline: auto;
  }
`;
