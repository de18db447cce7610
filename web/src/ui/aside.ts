/** Draws what surrounds the phone, and what takes its place while the user is unknown. */

import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Payment } from '../answers';
import { offeredKey } from '../api-key';
import { t } from '../i18n';
import { keepNumber } from '../kept-number';
import type { App } from './app';
import type { FollowedPayment } from './payment-progress';
import type { TopUp } from './top-up';

/** Draw the form for a key while the user is unknown; or that the page was another user's, and must be reloaded. */
export function keyForm(app: App): TemplateResult {
  if (app.failure?.code === 'form_of_another_account') {
    return html`<main><caller-outcome .failure=${app.failure}></caller-outcome></main>`;
  }
  void import('./key-form');
  return html`<main>
    <caller-key-form
      .hasAccounts=${app.hasAttribute('welcome')}
      .failure=${app.failure}
      .last=${app.last}
      .returned=${app.returned}
      @key-given=${app.open}
    ></caller-key-form>
  </main>`;
}

/** Draw what is left to call with, and the button that tops up. */
export function credit(app: App): TemplateResult | typeof nothing {
  const isShown = app.may('account');
  if (!app.offer && !isShown) return nothing;
  return html`<caller-credit .balance=${app.left ?? app.balance} .isShown=${isShown}>${topUp(app)}</caller-credit>`;
}

function topUp(app: App): TemplateResult | typeof nothing {
  if (!app.offer) return nothing;
  return html`<caller-top-up
    .api=${app.api}
    .offer=${app.offer}
    .calling=${app.busy}
    @started=${(event: CustomEvent<FollowedPayment>) => (app.followed = event.detail)}
    @leaving=${() => keepNumber(app.phone?.number ?? '')}
  ></caller-top-up>`;
}

/** Draw what stands before the phone: what is wrong, a payment that is made or come back from, a key that a link has brought. */
export function before(app: App): TemplateResult {
  const offered = offeredKey();
  const failure = app.busy || app.told ? undefined : app.failure;
  return html`${failure ? html`<caller-outcome .failure=${failure}></caller-outcome>` : nothing}
  ${app.followed && app.offer ? progress(app) : nothing}
  ${offered && !app.busy ? keyOffer(app, offered) : nothing}`;
}

/** Open the dialog that tops up. */
export function openTopUp(app: App): void {
  void app.renderRoot.querySelector<TopUp>('caller-top-up')?.open();
}

/** Draw what stands where the phone would, for a key that may not place calls. */
export function noCalls(): TemplateResult {
  return html`<p class="card">${t('mayNotCall')}</p>`;
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
    .hasReceipts=${!app.api?.key}
    @retry=${() => void app.reading?.refresh()}
    @redial=${(event: CustomEvent<string>) => app.phone?.dial(event.detail)}
  ></caller-recent-calls>`;
}

function progress(app: App): TemplateResult {
  return html`<caller-payment-progress
    .api=${app.api}
    .calling=${app.busy}
    .followed=${app.followed}
    @concluded=${(event: CustomEvent<Payment>) => void app.reading?.concluded(event.detail)}
    @retry=${() => openTopUp(app)}
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
