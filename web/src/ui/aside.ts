/** What the page shows around the phone, and in its place where nobody is known to use it. Decides nothing. */

import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Payment } from '../answers';
import { offeredKey } from '../api-key';
import { keepNumber } from '../kept-number';
import type { App } from './app';
import type { TopUp } from './top-up';

/** Draw the form for a key, where nobody is known to use the page. */
export function keyForm(app: App): TemplateResult {
  void import('./key-form');
  return html`<main>
    <caller-key-form
      .failure=${app.failure}
      .last=${app.last}
      .returned=${app.returned}
      @key-given=${app.open}
    ></caller-key-form>
  </main>`;
}

/** Draw the button that tops up, where that can be done. */
export function topUp(app: App): TemplateResult | typeof nothing {
  if (!app.offer) return nothing;
  return html`<caller-top-up
    .api=${app.api}
    .offer=${app.offer}
    .calling=${app.busy}
    @started=${app.follow}
    @leaving=${() => keepNumber(app.phone?.number ?? '')}
  ></caller-top-up>`;
}

/** Draw what stands before the phone: a payment that is made or come back from, a key that a link has brought. */
export function before(app: App): TemplateResult {
  const offered = offeredKey();
  return html`${app.followed && app.offer ? progress(app) : nothing}
  ${offered && !app.busy ? keyOffer(app, offered) : nothing}`;
}

/** Draw what stands beside the phone. */
export function aside(app: App): TemplateResult {
  return html`${app.phonebook.length ? phonebook(app) : nothing}
    ${app.may('records') ? recentCalls(app) : nothing}
    ${app.offer ? html`<caller-payments .api=${app.api} .balance=${app.balance}></caller-payments>` : nothing}`;
}

/** Draw whose phone it is. */
export function owner(app: App): TemplateResult {
  return html`<caller-owner
    .api=${app.api}
    .account=${app.access?.account}
    .busy=${app.busy}
    @forget=${() => app.reading?.forget()}
  ></caller-owner>`;
}

function phonebook(app: App): TemplateResult {
  return html`<caller-phonebook
    .entries=${app.phonebook}
    .busy=${app.busy}
    @choose=${(event: CustomEvent<string>) => app.phone?.choose(event.detail)}
  ></caller-phonebook>`;
}

function recentCalls(app: App): TemplateResult {
  return html`<caller-recent-calls
    .last=${app.last}
    .calls=${app.calls}
    .phonebook=${app.phonebook}
    .failed=${app.callsFailed}
    .busy=${app.busy}
    .canCall=${app.may('calls')}
    @retry=${() => void app.reading?.refresh()}
    @redial=${(event: CustomEvent<string>) => app.phone?.dial(event.detail)}
  ></caller-recent-calls>`;
}

function progress(app: App): TemplateResult {
  return html`<caller-payment-progress
    .api=${app.api}
    .followed=${app.followed}
    @concluded=${(event: CustomEvent<Payment>) => void app.reading?.concluded(event.detail)}
    @retry=${app.openTopUp}
    @closed=${() => unfollow(app)}
  ></caller-payment-progress>`;
}

function unfollow(app: App): void {
  app.followed = undefined;
  app.renderRoot.querySelector<TopUp>('caller-top-up')?.focus();
}

function keyOffer(app: App, offered: string): TemplateResult {
  void import('./key-offer');
  return html`<caller-key-offer
    .offered=${offered}
    .account=${app.access?.account}
    @answered=${app.open}
  ></caller-key-offer>`;
}
