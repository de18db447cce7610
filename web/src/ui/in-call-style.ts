/** The look of a call under way. */

import { css } from 'lit';

export const inCallStyle = css`
  :host {
    display: grid;
    gap: var(--space-4);
  }
  /* What comes beside the phone stands in this grid, once it is there. */
  caller-call-notices,
  caller-call-facts {
    display: contents;
  }
  .who {
    display: grid;
    justify-items: center;
    overflow-wrap: anywhere;
    text-align: center;
  }
  .name {
    font-size: var(--letters-xl);
    font-weight: 600;
  }
  .time {
    text-align: center;
    font-size: var(--letters-xxl);
    font-weight: 300;
    line-height: 1.1;
    letter-spacing: -0.01em;
  }
  .centre {
    text-align: center;
  }
  /* Mute and Hang up stay within reach: on a small screen at its bottom, else where the card ends on it. */
  .dock {
    container-type: inline-size;
    position: sticky;
    bottom: 0;
    z-index: 1;
    display: grid;
    gap: var(--space-2);
    padding-block: var(--space-2);
    background: var(--card);
  }
  .controls {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 4rem), 1fr));
    gap: var(--space-2);
  }
  .controls button {
    min-width: 0;
    display: grid;
    justify-items: center;
    align-content: center;
    gap: var(--space-1);
    min-height: 4.25rem;
    padding: var(--space-1);
    border-radius: var(--radius-m);
    font-size: var(--letters-s);
  }
  .controls button[aria-pressed='true'],
  .controls button[aria-expanded='true'] {
    background: var(--text);
    color: var(--card);
  }
  .end {
    display: flex;
    align-items: center;
    justify-content: center;
    gap: var(--space-2);
    min-height: var(--target-l);
    border-radius: var(--radius-m);
    font-size: var(--letters-l);
  }
  .panel {
    scroll-margin-block: var(--space-3);
  }
  /* Large text in a narrow window: the labels stand beside their icons, so that the dock covers less. */
  @container (max-width: 14rem) {
    .controls {
      grid-template-columns: 1fr 1fr;
    }
    .controls button {
      grid-auto-flow: column;
      justify-content: center;
      align-items: center;
      min-height: var(--target);
    }
  }
  @media (max-width: 859px) {
    .dock {
      position: fixed;
      inset: auto 0 0;
      padding: var(--space-2) max(var(--space-4), (100% - 428px) / 2) max(var(--space-2), env(safe-area-inset-bottom));
      border-block-start: 1px solid var(--line);
    }
  }
  @media (max-width: 859px) and (max-height: 760px) {
    :host {
      gap: var(--space-3);
    }
    .name {
      font-size: var(--letters-l);
    }
    .time {
      font-size: 2.25rem;
    }
    :host([keypad]) caller-call-facts::part(list),
    :host([keypad]) caller-call-meters {
      display: none;
    }
    :host([keypad]) caller-call-notices::part(warning) {
      order: 1;
    }
  }
  @media (forced-colors: active) {
    .controls button[aria-pressed='true'],
    .controls button[aria-expanded='true'] {
      forced-color-adjust: none;
      background: Highlight;
      color: HighlightText;
    }
  }
`;
