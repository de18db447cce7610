/** Groups the number in the dialler while it is written, and says of which country it is. */

import { locale } from '../i18n/language';
import type * as Format from '../number-format';
import type { Dialler } from './dialler';

const REMOVED: Partial<Record<string, 'back' | 'forward'>> = {
  deleteContentBackward: 'back',
  deleteContentForward: 'forward',
};

export class Writing {
  #format: typeof Format | undefined;
  #region: string | undefined;
  #isLoading = false;
  #before = '';

  constructor(private readonly dialler: Dialler) {
    const { renderRoot } = dialler;
    renderRoot.addEventListener('focusin', () => void this.#load());
    // Before the dialler reads what is in the field.
    renderRoot.addEventListener('input', (event) => this.#written(event as InputEvent), true);
    if (dialler.shadowRoot?.activeElement) void this.#load();
  }

  /** Return a number that somebody writes, grouped. */
  tidy(text: string): string {
    return this.#format?.tidied({ text, caret: text.length }, text, this.#region).text ?? text;
  }

  /** Return the number in E.164 that is meant, where it is written as among people of one country. */
  national(text: string): string | undefined {
    return this.#format?.national(text, this.#region);
  }

  /** Return a number in E.164 as its country groups it. */
  shown(number: string): string | undefined {
    return this.#format?.shown(number);
  }

  /** Return what is said of a number with the country that it is of. */
  placed(words: string, number: string): string {
    const code = this.#format?.countryOf(number);
    const name = code && new Intl.DisplayNames(locale, { type: 'region' }).of(code);
    return name ? `${words} · ${name}` : words;
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      this.#format = await import('../number-format');
      this.#region = this.#format.regionOf(navigator.language);
      this.dialler.reread();
    } catch {
      // The network is away: what is written stays as it is. The next focus tries again.
      this.#isLoading = false;
    }
  }

  #written({ target, inputType, isComposing }: InputEvent): void {
    const input = target as HTMLInputElement;
    const { value: text, selectionStart } = input;
    if (this.#format && !isComposing) {
      const now = { text, caret: selectionStart ?? text.length };
      const best = this.#format.tidied(now, this.#before, this.#region, REMOVED[inputType]);
      if (best.text !== text) {
        input.value = best.text;
        input.setSelectionRange(best.caret, best.caret);
      }
    }
    this.#before = input.value;
  }
}
