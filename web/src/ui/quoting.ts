/** Finds out what a call to the number that is written would cost, or why it may not be placed, and says so. */

import type { Quote, QuoteRefusal } from '../answers';
import { clock, t } from '../i18n';
import { failureInWords, price } from '../i18n/figures';
import { isDiallable } from '../number';
import { CallerError } from '../sdk/core';
import type { Dialler } from './dialler';

/** Pause in typing after which the price is asked for. */
const QUOTE_MS = 400;

/** Shortest emergency code with its plus sign: from there on a number may already be one. */
const ASKED_LENGTH_MIN = 4;

/** Refusals of a number that is still being typed, which more digits may mend. */
const UNFINISHED = /^number_(too_short|invalid)$/;

/** Refusals of the number itself: it is not dialled. Others may be over by then. */
const OF_NUMBER = /^(number_|destination_)/;

export class Quoting {
  #answer: Quote | QuoteRefusal | undefined;
  #asked = '';
  #timer = 0;

  constructor(private readonly dialler: Dialler) {
    this.ask();
  }

  /** Ask for the price of the number as it stands once nothing more is typed; of the same number if it has to be asked again. */
  ask(isAnew = false): void {
    const { number } = this.dialler;
    if (number !== this.#asked) this.#answer = undefined;
    else if (!isAnew) return;
    this.#asked = number;
    this.stop();
    if (number.length >= ASKED_LENGTH_MIN) this.#timer = window.setTimeout(() => void this.#fetch(number), QUOTE_MS);
  }

  stop(): void {
    window.clearTimeout(this.#timer);
  }

  /** Whether it is known that the number, as it is, is not dialled. */
  get forbids(): boolean {
    return OF_NUMBER.test(this.#refusal?.code ?? '');
  }

  get isRefused(): boolean {
    return this.#refusal !== undefined;
  }

  /** Return why the number may not be called, unless that is what stands above already. */
  refusalInWords(): string | undefined {
    const problem = this.#refusal;
    if (!problem || problem.code === this.dialler.told) return undefined;
    return failureInWords(new CallerError('request_refused', problem)).join(' ');
  }

  priceInWords(): string {
    if (!this.#answer || this.#answer.refusal) return '';
    const { rate, affordable_seconds: seconds, limited_by: limit = 'credit' } = this.#answer;
    const perMinute = t('perMinute', { price: price(rate.per_minute) });
    const fee = rate.connect_fee.micros ? ` ${t('connectFee', { price: price(rate.connect_fee) })}` : '';
    return t(`lasts.${limit}`, { price: perMinute + fee, time: clock(seconds) });
  }

  /** Why the number that is written may not be called, if that is known and will not mend itself. */
  get #refusal(): QuoteRefusal['refusal'] | undefined {
    const refusal = this.#answer?.refusal;
    return refusal && (isDiallable(this.#asked) || !UNFINISHED.test(refusal.code)) ? refusal : undefined;
  }

  async #fetch(number: string): Promise<void> {
    // Without an answer the number can be dialled all the same; the call then says what is wrong.
    const timer = this.#timer;
    const answer = await this.dialler.api.quote(number);
    if (this.#asked !== number || this.#timer !== timer) return;
    this.#answer = answer;
    this.dialler.requestUpdate();
  }
}
