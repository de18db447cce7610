/** Line icons, 24 units square, drawn in the text's colour. Hidden from assistive technology: words stand beside them. */

import { html, svg } from 'lit';
import type { TemplateResult } from 'lit';

const HANDSET =
  'M22 16.9v3a2 2 0 0 1-2.2 2 19.8 19.8 0 0 1-8.6-3.1 19.5 19.5 0 0 1-6-6A19.8 19.8 0 0 1 2.1 4.2 2 2 0 0 1 4.1 2h3' +
  'a2 2 0 0 1 2 1.7c.1 1 .4 1.9.7 2.8a2 2 0 0 1-.5 2.1L8.1 9.9a16 16 0 0 0 6 6l1.3-1.3a2 2 0 0 1 2.1-.4' +
  'c.9.3 1.8.6 2.8.7a2 2 0 0 1 1.7 2z';

export function icon(paths: TemplateResult, size = 20): TemplateResult {
  return html`<svg viewBox="0 0 24 24" width=${size} height=${size} aria-hidden="true">${paths}</svg>`;
}

export const handset = icon(svg`<path d=${HANDSET} />`);
export const handsetDown = icon(svg`<path transform="rotate(135 12 12)" d=${HANDSET} />`);
export const microphone = icon(
  svg`<rect x="9" y="2" width="6" height="12" rx="3" /><path d="M5 11a7 7 0 0 0 14 0M12 18v4" />`,
);
export const microphoneOff = icon(
  svg`<path d="M15 9.3V5a3 3 0 0 0-6-.3M9 9v2a3 3 0 0 0 5 2.2M5 11a7 7 0 0 0 11.5 5.4M12 18v4M3 3l18 18" />`,
);
export const pause = icon(svg`<path d="M8 5v14M16 5v14" />`);
export const play = icon(svg`<path d="M7 4.5v15l12-7.5z" />`);
export const erase = icon(svg`<path d="M21 5H9l-7 7 7 7h12zM17 9.5l-5 5M12 9.5l5 5" />`);
export const sliders = icon(svg`<path d="M4 8h6M16 8h4M4 16h2M12 16h8" /><circle cx="13" cy="8" r="3" /><circle cx="9" cy="16" r="3" />`);
export const pad = icon(
  svg`${[5, 12, 19].map((y) => [5, 12, 19].map((x) => svg`<circle cx=${x} cy=${y} r="1" />`))}`,
);
