/** Finds out who uses the page: whoever is signed in, or whose key the tab has. */

import { Api } from '../api';
import { offerOwn, storedKey } from '../api-key';
import { hasNumber } from '../kept-number';
import { asCallerError } from '../sdk/core';
import type { CallerError } from '../sdk/core';
import { followAddress } from './address';
import type { App } from './app';

/** Open the phone for whoever is signed in; else with the tab's key, if it has one. */
export async function askWho(app: App, key?: string): Promise<void> {
  followAddress(app);
  app.asking = true;
  let failure: CallerError | undefined;
  await new Api(undefined).access().catch((error: unknown) => (failure = asCallerError(error)));
  const isSignedIn = !failure;
  app.asking = false;
  app.requestUpdate();
  // Another key has come meanwhile, and opens the phone itself.
  if (app.api || storedKey() !== key) return;
  if (isSignedIn && key) offerOwn();
  if (!isSignedIn && !key) {
    // Whoever asked for the phone itself, brought a number for it, or is told something here, stays.
    const welcome = failure?.kind === 'key_refused' && app.getAttribute('welcome');
    const asked = location.pathname.endsWith('/phone') || hasNumber();
    const stays = asked || app.failure || app.last || app.returned;
    if (welcome && !stays) location.replace(welcome);
    // Whether somebody is signed in is not known then: nobody is told that they are not.
    if (failure?.kind !== 'key_refused') app.failure = failure;
    return;
  }
  app.failure = undefined;
  await app.load(isSignedIn ? undefined : key);
}
