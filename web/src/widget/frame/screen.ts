/** What is always there of the frame: whom the button calls, how the call stands, and below that a view. Decides nothing. */

import { button, h, present, say } from './dom';
import type { View } from './views';
import { t } from './words';

export class Screen {
  readonly #name = h('h1');
  readonly #status = h('p', { role: 'status', className: 'status', tabIndex: -1 });
  readonly #alert = h('p', { role: 'alert', className: 'hidden' });
  readonly #view = h('div', { className: 'view' });
  readonly #close: HTMLButtonElement;
  #wasEmpty = true;

  /** `isFramed`: it stands in somebody else's page, where it can be closed. */
  constructor(main: HTMLElement, isFramed: boolean, close: () => void) {
    this.#close = button('✕', close, 'close');
    document.documentElement.classList.add(isFramed ? 'framed' : 'alone');
    document.title = t('title');
    main.replaceChildren(h('header', {}, this.#name, isFramed && this.#close), this.#status, this.#alert, this.#view);
  }

  /** Say whom the button calls, and whether it is only a test. */
  name(name: string, isTest: boolean): void {
    this.#name.textContent = name;
    document.title = `${name} · ${t('title')}`;
    if (isTest) this.#name.append(h('small', {}, t('test')));
  }

  /** Say how the call stands. */
  say(status: string): void {
    say(this.#status, status);
  }

  /** Say at once what cannot wait; empty takes it back. */
  warn(warning: string): void {
    say(this.#alert, warning);
  }

  /** Show another view; `isOn`: a call goes on, which closing puts away. */
  show(status: string, view: View, isOn: boolean): void {
    this.say(status);
    const hadFocus = this.#view.contains(document.activeElement);
    this.#view.replaceChildren(...present(view));
    // Elsewhere a key that is held down would press what has come in place of the button.
    if (this.#wasEmpty) this.#view.querySelector<HTMLElement>('.main')?.focus();
    else if (hadFocus) this.#status.focus();
    this.#wasEmpty = view.length === 0;
    this.#close.ariaLabel = t(isOn ? 'putAway' : 'close');
  }
}
