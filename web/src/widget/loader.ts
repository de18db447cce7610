/**
 * `<caller-button key="pk_live_…">`: a button on anybody's page that opens the phone in a frame of our own origin.
 * All of us that runs in the host page; asks for nothing but itself before the click, and knows nothing of calls.
 *
 * Content: a link to `/c/{key}`, which stands there until the script runs, and where it never does.
 *
 * Attributes
 * - `key`        the button's publishable key; or `data-key`, where a framework keeps `key` for itself
 * - `label`      words on the button; else those of the link within it, else ☎, with the page's title as its name
 * - `language`   of the phone, such as en; else that of the page around it, else the browser's
 * - `theme`      light or dark; else as the visitor's system has it
 * - `placement`  floating: in the corner of the window; none: no button; else as it stands in the text
 * - `terms`      https address of terms that a visitor accepts before the first call
 * - `start`      at-once: the click itself calls, for a page that says beside the button what a call does
 *
 * Properties and methods
 * - `token`      for a button whose calls are signed: what `POST /v1/call-tokens` answered, or a function that
 *                returns it or a promise of it, asked for each call; where the operator checks that persons call,
 *                `{ human }` with what the check has given the page
 * - `call()`     opens the phone, or shows it again; inside a click; throws Error where the element is in no page
 * - `hangUp()`   ends the call
 * - `close()`    closes the phone and gives the focus back
 *
 * Events, which bubble and are composed
 * - `caller-connecting`, `caller-ringing`, `caller-accept`, `caller-mute` { muted }
 * - `caller-ended` { outcome, seconds, cost }: once for each call that was connecting, also where phone or element is taken away
 * - `caller-error` { code, retry }, `caller-close`
 * Of an element that was removed they are events of the document.
 *
 * During a call it has the attribute `live`, and its button a dot: the phone may have been put away.
 *
 * Parts: `button`, `iframe`, and `a`, the link beside it where no frame has opened.
 * Custom properties: `--caller-color`, `--caller-text`, `--caller-radius`.
 */

import { LOADED_MS, READY_MS, VERSION } from './protocol';
import type { Ended, FromFrame, SignedToken, ToFrame } from './protocol';

/** The gateway that this file came from. */
const GATEWAY = new URL('..', import.meta.url);

/** One line in the build. */
const CSS = `
button,a{
  display:inline-block;padding:.9em 2em;background:var(--caller-color,var(--go));color:var(--caller-text,var(--on-go));
  font:600 1rem system-ui}
*{border-radius:var(--caller-radius,1em);border:1px solid #8886}
:host([placement=none]) button{display:none}
:host([live]) button::after{content:' ●'}
:host([placement=floating]),iframe{position:fixed;inset-block:auto 1rem;inset-inline:auto 1rem;z-index:99}
iframe{width:min(360px,100vw - 2rem);max-height:90vh;padding:0}
`;

const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);

type Signer = () => SignedToken | Promise<SignedToken>;

/** The one whose phone is open: a visitor has one microphone. */
let opened: Caller | null | undefined;

/** What would be reported if its call ended now, while there is one. */
let now: Ended | null | undefined;

export class Caller extends HTMLElement {
  static observedAttributes = ['label'];

  declare token: SignedToken | Signer | undefined;
  #button = make('button');
  #frame: HTMLIFrameElement | undefined;
  #opener: HTMLElement | null | undefined;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#button);
    this.#button.onclick = () => this.call();
  }

  /** Return a button without our looks, for a page with its own: made once, then `call()` in each click. */
  static button({ token, ...attributes }: Record<string, string> & { token?: Caller['token'] }): Caller {
    const button = new this();
    attributes.placement = 'none';
    for (const name in attributes) button.setAttribute(name, attributes[name]);
    document.body.append(button);
    button.token = token;
    return button;
  }

  disconnectedCallback(): void {
    this.close();
  }

  attributeChangedCallback(): void {
    this.connectedCallback();
  }

  connectedCallback(): void {
    const words = this.getAttribute('label') || (this.textContent as string).trim();
    // The page's own words are in its language; the sign is read out in the listener's.
    this.#button.ariaLabel = words || '☎ ' + document.title;
    this.#button.textContent = words || '☎';
  }

  call(): void {
    if (!this.isConnected) throw Error('not connected');
    if (opened !== this) {
      if (now) return (opened as Caller).call();
      opened?.close();
      opened = this;
      this.#opener = document.activeElement as HTMLElement | null;
      const frame = (this.#frame = make('iframe'));
      frame.referrerPolicy = 'origin';
      frame.allow = 'microphone;autoplay;screen-wake-lock';
      frame.popover = 'manual';
      frame.title = this.#button.ariaLabel as string;
      frame.src = this.#address('embed');
      setTimeout((frame.onload = () => setTimeout(() => this.#blocked(frame), LOADED_MS)), READY_MS - LOADED_MS);
      // Stays, and is the same one for each frame; a frame that is gone has no window to speak from.
      addEventListener('message', this);
      // The link of an attempt that failed goes.
      this.#button.nextSibling?.remove();
      this.#button.after(frame);
    }
    (this.#frame as HTMLIFrameElement).togglePopover?.(true);
    (this.#frame as HTMLIFrameElement).focus();
  }

  hangUp(): void {
    this.#post('hang-up');
  }

  close(): void {
    if (opened !== this) return;
    opened = null;
    (this.#frame as HTMLIFrameElement).remove();
    this.#focusBack();
    // The phone can tell it no more.
    const ended = now;
    now = null;
    if (ended) this.#fire('ended', ended);
    this.#fire('close');
  }

  /** Refused by the page's policy or by the key's list of pages, or out of reach: a page of its own can tell. */
  #blocked(frame: HTMLIFrameElement): void {
    // The frame that is gone has no window, and the one that has spoken no handler.
    if (!frame.contentWindow || !frame.onload) return;
    const link = make('a');
    link.textContent = this.#button.ariaLabel + ' ↗';
    link.href = this.#address('c');
    link.target = '_blank';
    // Beside the button: another click tries again, as the network may have been slow.
    this.#button.after(link);
    this.close();
    link.focus();
    this.#fire('error', { code: 'frame-blocked' });
  }

  #post(type: ToFrame['type'], token?: SignedToken): void {
    this.#frame?.contentWindow?.postMessage({ type, token, caller: VERSION }, GATEWAY.origin);
  }

  #focusBack(): void {
    (this.#opener as HTMLElement).focus();
    // Safari gives a button that is clicked no focus; one that is not shown takes none.
    this.#button.focus();
  }

  /** Take a message, if it is one of the frame. */
  handleEvent({ data, origin, source }: MessageEvent<FromFrame & { now?: Ended; caller?: number }>): void {
    const frame = this.#frame as HTMLIFrameElement;
    // A frame that is led elsewhere says that its call has ended, and has no window any more by then.
    if (opened !== this || origin !== GATEWAY.origin || (source && source !== frame.contentWindow) || data?.caller !== VERSION) return;
    const { type } = data;
    now = data.now;
    if (type === 'ready') frame.onload = null;
    else if (type === 'size') frame.height = data.height;
    else if (type === 'sign') void this.#sign();
    else if (type === 'close') {
      if (now) {
        // The phone is put away and the call goes on.
        frame.togglePopover?.(false);
        this.#focusBack();
      } else this.close();
    } else this.#fire(type, data);
  }

  #fire(name: string, detail?: object): void {
    this.toggleAttribute('live', !!now);
    (this.isConnected ? this : document).dispatchEvent(new CustomEvent('caller-' + name, { detail, bubbles: true, composed: true }));
  }

  /** The settings are of no concern to any server: they stand behind the #. */
  #address(page: 'embed' | 'c'): string {
    const settings = new URLSearchParams();
    for (const each of this.attributes) settings.append(each.name, each.value);
    // Of two that are named alike the first counts.
    settings.append('language', this.closest<HTMLElement>('[lang]')?.lang || '');
    return GATEWAY + page + `/${this.getAttribute('key') || this.dataset.key}#${settings}`;
  }

  async #sign(): Promise<void> {
    let token: SignedToken | undefined;
    try {
      // What can be called has `call`; a token has not.
      token = await ((this.token as Signer)?.call ? (this.token as Signer)() : (this.token as SignedToken));
    } finally {
      this.#post('token', token);
    }
  }
}

function make<Tag extends 'a' | 'button' | 'iframe'>(tag: Tag): HTMLElementTagNameMap[Tag] {
  const element: { part: unknown } & HTMLElementTagNameMap[Tag] = document.createElement(tag);
  element.part = tag;
  return element;
}

if (!customElements.get('caller-button')) customElements.define('caller-button', Caller);
