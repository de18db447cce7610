/** The look of a call under way. */

import { css } from 'lit';

export const inCallStyle = css`
  :host {
    display: grid;
    gap: 18px;
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
    font-size: 1.375rem;
    font-weight: 600;
  }
  .time {
    text-align: center;
    font-size: 3.25rem;
    font-weight: 300;
    line-height: 1.1;
    letter-spacing: -0.01em;
  }
  .centre {
    text-align: center;
  }
  .pulse {
    display: grid;
    place-items: center;
    justify-self: center;
    width: 84px;
    height: 84px;
    margin: 14px;
    border-radius: 50%;
    background: var(--soft);
    color: var(--go);
    animation: pulse 1.6s ease-out infinite;
  }
  .pulse svg {
    width: 32px;
    height: 32px;
  }
  @keyframes pulse {
    from {
      box-shadow: 0 0 0 0 color-mix(in srgb, var(--level) 45%, transparent);
    }
    to {
      box-shadow: 0 0 0 22px transparent;
    }
  }
  .meters {
    display: grid;
    gap: 8px;
    font-size: 0.875rem;
  }
  .meter {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 4px 12px;
  }
  .meter span:first-child {
    min-width: 3.5rem;
  }
  .meter .muted {
    min-width: 4.5rem;
  }
  .bar {
    flex: 1 1 40px;
    overflow: hidden;
    height: 8px;
    border-radius: 4px;
    background: var(--soft-strong);
  }
  .bar i {
    display: block;
    height: 100%;
    border-radius: 4px;
    background: var(--level);
    transform: scaleX(var(--share, 0));
    transform-origin: left;
    transition: transform 0.1s linear;
  }
  :host(:dir(rtl)) .bar i {
    transform-origin: right;
  }
  .talking span:first-child {
    font-weight: 600;
  }
  .talking .muted {
    color: var(--go);
  }
  /* Mute and Hang up stay within reach: on a small screen at its bottom, else where the card ends on it. */
  .dock {
    container-type: inline-size;
    position: sticky;
    bottom: 0;
    z-index: 1;
    display: grid;
    gap: 10px;
    padding-block: 10px;
    background: var(--card);
  }
  .controls {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 4rem), 1fr));
    gap: 8px;
  }
  .controls button {
    min-width: 0;
    display: grid;
    justify-items: center;
    align-content: center;
    gap: 6px;
    min-height: 4.25rem;
    padding: 4px;
    border-radius: 16px;
    font-size: 0.875rem;
  }
  .controls button[aria-pressed='true'],
  .controls button[aria-expanded='true'] {
    background: var(--text);
    color: var(--card);
  }
  .digits {
    display: flex;
    justify-content: space-between;
    gap: 12px;
    min-height: 1.45em;
    margin-bottom: -8px;
  }
  .end {
    display: flex;
    align-items: center;
    justify-content: center;
    gap: 10px;
    min-height: 56px;
    border-radius: 18px;
    font-size: 1.0625rem;
  }
  .panel {
    display: grid;
    gap: 12px;
    scroll-margin-block: 12px;
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
      min-height: 44px;
    }
  }
  @media (max-width: 859px) {
    .dock {
      position: fixed;
      inset: auto 0 0;
      padding: 10px max(16px, (100% - 428px) / 2) max(10px, env(safe-area-inset-bottom));
      border-block-start: 1px solid var(--line);
    }
  }
  @media (max-width: 859px) and (max-height: 760px) {
    :host {
      gap: 12px;
    }
    .time {
      font-size: 2.25rem;
    }
    :host([keypad]) caller-call-facts::part(list),
    :host([keypad]) .meters {
      display: none;
    }
    :host([keypad]) caller-call-notices::part(warning) {
      order: 1;
    }
  }
  @media (forced-colors: active) {
    .bar {
      border: 1px solid CanvasText;
    }
    .bar i {
      forced-color-adjust: none;
      background: Highlight;
    }
    .controls button[aria-pressed='true'],
    .controls button[aria-expanded='true'] {
      forced-color-adjust: none;
      background: Highlight;
      color: HighlightText;
    }
  }
`;
