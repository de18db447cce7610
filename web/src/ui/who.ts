/** Finds out who uses the page: whoever is signed in, or whose key the tab has. */

import { Api } from '../api';
import { offerOwn, storedKey } from '../api-key';
import { followAddress } from './address';
import type { App } from './app';

/** Open the phone for whoever is signed in; else with the tab's key, if it has one. */
export async function askWho(app: App, key?: string): Promise<void> {
  followAddress(app);
  app.asking = true;
  const isSignedIn = await new Api(undefined).access().then(
    () => true,
    () => false,
  );
  app.asking = false;
  app.requestUpdate();
  // Another key has come meanwhile, and opens the phone itself.
  if (app.api || storedKey() !== key) return;
  if (isSignedIn && key) offerOwn();
  if (!isSignedIn && !key) return;
  app.failure = undefined;
  await app.load(isSignedIn ? undefined : key);
}
