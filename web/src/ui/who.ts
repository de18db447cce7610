/** Finds out who uses the page: whoever is signed in, or whose key the tab has. */

import { Api } from '../api';
import { offerOwn, storedKey } from '../api-key';

/**
 * Return the key to use, empty for the session of whoever is signed in; undefined where there is neither, or the tab
 * has got another key meanwhile.
 */
export async function keyOrSession(key: string): Promise<string | undefined> {
  const isSignedIn = await new Api('').access().then(
    () => true,
    () => false,
  );
  if ((storedKey() ?? '') !== key) return undefined;
  if (isSignedIn && key) offerOwn();
  return isSignedIn ? '' : key || undefined;
}
