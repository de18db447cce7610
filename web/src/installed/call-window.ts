/**
 * A call in a small window above all others (W3C Document Picture-in-Picture), where the browser has such: with whom,
 * how long, Mute and Hang up. It closes with the call.
 */

import { render } from 'lit-html';
import { clock, t } from '../i18n';
import { grouped } from '../number';
import { elapsedSeconds } from '../sdk/core';
import type { Call } from '../sdk/core';
import { html } from 'lit';
import type { TemplateResult } from 'lit';
import * as icons from '../ui/icons';

const REDRAW_MS = 250;

const SIZE = { width: 300, height: 200 };

/** What is used of the browser's interface. */
interface PictureInPicture {
  requestWindow(size: { width: number; height: number }): Promise<Window & typeof globalThis>;
}

const { documentPictureInPicture: pictures } = window as unknown as { documentPictureInPicture?: PictureInPicture };

const STYLE = `
body { display: grid; align-content: center; gap: 12px; min-height: 100vh; margin: 0; padding: 12px; box-sizing: border-box;
  background: var(--card); color: var(--text); font: 400 1rem/1.3 var(--sans); text-align: center; }
p { margin: 0; overflow-wrap: anywhere; }
.time { font-size: 2rem; font-weight: 300; font-variant-numeric: tabular-nums; }
.controls { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
button { display: grid; place-items: center; gap: 4px; min-height: 56px; border: 1px solid transparent; border-radius: 16px;
  background: var(--soft); color: inherit; font: inherit; font-size: 0.875rem; cursor: pointer; }
button[aria-pressed='true'] { background: var(--text); color: var(--card); }
.danger { background: var(--stop); color: var(--on-stop); }
svg { fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (forced-colors: active) { button { border-color: ButtonText; } }`;

/** Whether this browser can show a call so. */
export const canOpen = pictures !== undefined;

/** Show the call, with this name of its number if there is one. Call it inside the click. */
export async function openCallWindow(call: Call, label: string): Promise<void> {
  const opened = await pictures?.requestWindow(SIZE);
  if (!opened) return;
  const { document: page } = opened;
  page.documentElement.lang = document.documentElement.lang;
  page.title = document.title;
  // The colours are those of the page; a sheet that is constructed belongs to one document.
  for (const link of document.querySelectorAll<HTMLLinkElement>('link[rel=stylesheet]')) {
    const own = page.createElement('link');
    own.rel = 'stylesheet';
    own.href = link.href;
    page.head.append(own);
  }
  const sheet = new opened.CSSStyleSheet();
  sheet.replaceSync(STYLE);
  page.adoptedStyleSheets = [sheet];
  const show = (): void => {
    if (call.status() === 'closed') opened.close();
    else render(drawn(call, label), page.body);
  };
  const timer = window.setInterval(show, REDRAW_MS);
  call.on('changed', show);
  opened.addEventListener('pagehide', () => {
    window.clearInterval(timer);
    call.off('changed', show);
  });
  show();
}

function drawn(call: Call, label: string): TemplateResult {
  const { phase, lost, muted, destination } = call.state;
  const said = lost ? t('reconnecting') : phase === 'live' ? clock(elapsedSeconds(call.state, performance.now())) : t(phase);
  return html`<p>${label || html`<bdi>${grouped(destination)}</bdi>`}</p>
    <p class="time" role="timer">${said}</p>
    <div class="controls">
      <button type="button" aria-pressed=${muted} @click=${() => call.mute(!call.isMuted())}>
        ${muted ? icons.microphoneOff : icons.microphone}${t('mute')}
      </button>
      <button type="button" class="danger" @click=${() => call.disconnect()}>${icons.handsetDown}${t('hangUp')}</button>
    </div>`;
}
