/**
 * Takes out of the page's address what a link has brought, but for a key: how a payment ended, and a number. A number is
 * shown in the phone and never dialled by itself, as a link can come from anybody. Where nobody is known yet, or a call
 * goes on, it waits.
 */

import { takeOut } from '../installed/address-number';
import { keepNumber, takeNumber } from '../kept-number';
import { dialled, isDiallable } from '../number';
import type { App } from './app';

const followed = new WeakSet<App>();

/** Take what the address brings now, and a number whenever another link is opened in this window. */
export function followAddress(app: App): void {
  if (followed.has(app)) return;
  followed.add(app);
  takeReturned(app);
  const take = (): void => {
    const found = takeOut(location.href);
    if (!found) return;
    history.replaceState(null, '', found.rest);
    const number = dialled(found.number, navigator.language);
    keepNumber(isDiallable(number) ? number : found.number);
    void showKept(app);
  };
  window.addEventListener('hashchange', take);
  take();
}

/** Show the number that waits, if there is one and the phone can show it. */
export async function showKept(app: App): Promise<void> {
  await app.updateComplete;
  const { phone } = app;
  if (!phone || app.busy) return;
  await phone.updateComplete;
  const number = takeNumber();
  if (number) phone.choose(number);
}

/** Take what the payment service's page sends a person back with. */
function takeReturned(app: App): void {
  const query = new URLSearchParams(location.search);
  const id = query.get('top-up');
  if (id === null && !query.has('top-up-cancelled')) return;
  query.delete('top-up');
  query.delete('top-up-cancelled');
  const rest = query.toString();
  history.replaceState(null, '', location.pathname + (rest && `?${rest}`) + location.hash);
  app.returned = id === null ? 'cancelled' : 'paid';
  if (id !== null) app.followed = { id };
}
