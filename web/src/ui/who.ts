/** Finds out who uses the page: the user who is signed in, or the owner of the tab's key. */

import { Api } from '../api';
import { offerOwn, storedKey } from '../api-key';
import { hasNumber } from '../kept-number';
import { asCallerError } from '../sdk/core';
import type { CallerError } from '../sdk/core';
import { followAddress } from './address';
import type { App } from './app';

/** Open the phone for the user who is signed in; otherwise with the tab's key, if it has one. */
export async function askWho(app: App, key?: string): Promise<void> {
  followAddress(app);
  app.asking = true;
  let failure: CallerError | undefined;
  await new Api(undefined).access().catch((error: unknown) => (failure = asCallerError(error)));
  const isSignedIn = !failure;
  app.asking = false;
  app.requestUpdate();
  // Another key has arrived by now, and opens the phone itself.
  if (app.api || storedKey() !== key) return;
  if (isSignedIn && key) offerOwn();
  if (!isSignedIn && !key) {
    // Somebody who asked for the phone, brought a number for it, or has a message to read here, stays.
    const welcome = failure?.kind === 'key_refused' && app.getAttribute('welcome');
    const asked = location.pathname.endsWith('/phone') || hasNumber();
    const stays = asked || app.failure || app.last || app.returned;
    if (welcome && !stays) location.replace(welcome);
    // Whether somebody is signed in is unknown then, so the page does not say that they are not.
    if (failure?.kind !== 'key_refused') app.failure = failure;
    return;
  }
  app.failure = undefined;
  await app.load(isSignedIn ? undefined : key);
}
