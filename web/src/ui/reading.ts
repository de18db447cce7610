/**
 * Reads what the page shows of the account: at the start, after what may have changed it, and now and then. Knows no
 * markup; the page shows what it is given.
 */

import { account, calls, phonebook, topUpOffer } from '../account-api';
import type { Payment } from '../answers';
import type { Api } from '../api';
import { answerOffer, dropKey } from '../api-key';
import { Following } from '../following';
import { accompany } from '../installed/call-outside';
import { CallerError, asCallerError, isUnreachable } from '../sdk/core';
import type { Call, CallState } from '../sdk/core';
import { followAddress, showKept } from './address';
import type { App } from './app';
import { OtherTabs } from './other-tabs';
import type { Phone } from './phone';
import { listed } from './recent-calls';

const RECENT_CALLS = 8;

export class Reading {
  #following: Following | undefined;

  readonly tabs: OtherTabs;

  constructor(private readonly app: App) {
    followAddress(app);
    this.tabs = new OtherTabs(app);
  }

  /** Whether what is said of calls is kept. */
  get takesFeedback(): boolean {
    return this.app.access?.takes_feedback ?? false;
  }

  /** A call begins on this page. */
  began(call: Call): void {
    accompany(call);
    this.tabs.follow(call);
  }

  /** Read everything that is shown of the user. */
  async begin(api: Api): Promise<void> {
    const { app } = this;
    void showKept(app);
    await this.refresh();
    this.#following ??= new Following(this);
    if (app.api !== api) return;
    if (app.may('calls')) app.phonebook = await phonebook(api);
    const offer = app.may('payments') ? await topUpOffer(api) : undefined;
    if (offer) await import('./paying');
    if (app.api === api) app.offer = offer;
  }

  /** Read again what changes; return whether that went well. */
  async refresh(): Promise<boolean> {
    const { app } = this;
    const { api } = app;
    if (!api) return true;
    try {
      const access = await api.access();
      if (app.api !== api) return true;
      app.access = access;
      const [read, listing] = await Promise.allSettled([
        app.may('account') ? account(api) : undefined,
        app.may('records') ? calls(api, RECENT_CALLS) : undefined,
      ]);
      if (app.api !== api) return true;
      app.callsFailed = listing.status === 'rejected' && !app.calls;
      if (listing.status === 'fulfilled') app.calls = listing.value;
      if (read.status === 'rejected') throw read.reason;
      if (listing.status === 'rejected' && !read.value) throw listing.reason;
      const balance = read.value?.balance;
      const hasMore = balance && app.balance && balance.micros > app.balance.micros;
      if (balance?.micros !== app.balance?.micros) app.balance = balance;
      if (!app.busy) app.left = undefined;
      this.#recover();
      if (hasMore && app.phone?.state?.failure?.code === 'insufficient_credit') app.phone.state = undefined;
      return listing.status === 'fulfilled';
    } catch (error) {
      if (app.api === api) this.#failed(asCallerError(error));
      return false;
    }
  }

  /** A call has ended on this page. */
  async ended({ failure, ending }: CallState): Promise<void> {
    if (failure?.kind === 'key_refused') {
      this.forget(failure);
      return;
    }
    // 502: the gateway is being restarted.
    this.app.told = failure !== undefined || ending?.cause === 502;
    void showKept(this.app);
    await this.refresh();
    this.changed();
  }

  /** Let the other tabs of this browser read again what has changed here. */
  changed(): void {
    this.#following?.changed();
  }

  /** A payment has an outcome: the credit is another, and so may be the card that is saved. */
  async concluded({ state }: Payment): Promise<void> {
    const { app } = this;
    await this.refresh();
    // Another object: what is listed of payments is read by it.
    app.balance &&= { ...app.balance };
    this.changed();
    if (app.api && app.may('payments')) app.offer = (await topUpOffer(app.api)) ?? app.offer;
    // The call that waited for credit is one Enter away.
    if (state === 'paid' && !app.busy && app.phone?.number) app.phone.choose(app.phone.number);
  }

  /** Whether a call goes on, here excepted, or is being settled. */
  goesOn(): boolean {
    const shown = this.app.busy ? undefined : listed(this.app.calls, this.app.last);
    return shown?.some(({ state }) => state !== 'ended') ?? false;
  }

  /** The gateway has done what it was asked for. */
  reached(): void {
    if (isUnreachable(this.app.failure)) this.#recover();
  }

  /** Forget the tab's key, on request or because it is no longer valid, or the signed-in user. */
  forget(failure?: CallerError): void {
    const { app } = this;
    const { access, api, last } = app;
    dropKey();
    // If the tab's own key is no longer valid, the key of a link replaces no one.
    answerOffer(failure !== undefined);
    app.clear();
    app.open();
    if (app.api || !failure) return;
    const code = api?.key ? 'key_revoked' : 'signed_out';
    app.failure = access ? new CallerError('key_refused', { code }) : failure;
    // A call that never began has nothing more to tell.
    app.last = last?.failure?.kind === 'key_refused' ? undefined : last;
  }

  /** Nothing is wrong any more: neither here nor, of what kept a call from being placed, in the phone. */
  #recover(): void {
    const { app } = this;
    if (app.phone) forgetFailure(app.phone, app.failure);
    // A draining gateway may answer once more before it goes: what follows is reported as well.
    app.told &&= !app.failure && app.last?.ending?.cause === 502;
    app.failure = undefined;
  }

  #failed(failure: CallerError): void {
    const { app } = this;
    app.callsFailed = !app.calls;
    // A call goes on without its key; what is wrong shows once it has ended.
    if (failure.kind === 'key_refused' && !app.busy) {
      this.forget(failure);
      return;
    }
    // Another user who is signed in now must not see the former one's data.
    if (failure.code === 'form_of_another_account' && !app.busy) app.clear();
    app.failure = failure;
  }
}

/** Have the phone tell no more that the gateway could not be reached: it can be, after this failure of the page if there was one. */
function forgetFailure(phone: Phone, failure: CallerError | undefined): void {
  const own = phone.failure ?? phone.state?.failure;
  if (own?.kind === 'offline' || (failure && isUnreachable(own))) phone.state = phone.failure = undefined;
}
