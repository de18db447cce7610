/**
 * The API key of this tab. It arrives in the address's fragment, which browsers never send, and lives in
 * sessionStorage: closing the tab forgets it. A link can carry anybody's key, so one that comes to a tab that has
 * another is only offered: the user of the tab decides.
 */

const STORED = 'caller-key';

/** Characters of a key; anything else was pasted by mistake, and a header could not carry it. */
const KEY = /^[\x21-\x7e]{8,256}$/;

let kept: string | undefined;
let offered: string | undefined;

/** Whether a link has brought the tab's first key: a person who is signed in is to be asked about it. */
export let brought = false;

/** Take a key out of the address, if it is there: keep it where the tab has none, else offer it. */
export function takeKey(): void {
  const url = new URL(location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const given = fragment.get('key')?.trim();
  if (given === undefined) return;
  fragment.delete('key');
  url.hash = fragment.toString();
  history.replaceState(null, '', url);
  const own = storedKey();
  if (own === undefined) brought = keepKey(given);
  else if (own !== given && KEY.test(given)) offered = given;
}

/** Offer the tab's key instead of using it: somebody is signed in, and a link can carry anybody's. */
export function offerOwn(): void {
  offered = storedKey();
  brought = false;
  dropKey();
}

/** Return the key that a link has brought to a tab with another. */
export function offeredKey(): string | undefined {
  return offered;
}

/** Take the key that a link has brought instead of the tab's own, or leave it. */
export function answerOffer(accepted: boolean): void {
  if (accepted && offered !== undefined) keepKey(offered);
  offered = undefined;
}

/** Keep the key for this tab; return whether it can be one. */
export function keepKey(key: string): boolean {
  const trimmed = key.trim();
  if (!KEY.test(trimmed)) return false;
  try {
    sessionStorage.setItem(STORED, trimmed);
  } catch {
    // Storage is blocked: the key lives as long as the page.
  }
  kept = trimmed;
  return true;
}

/** Forget the key. */
export function dropKey(): void {
  kept = undefined;
  try {
    sessionStorage.removeItem(STORED);
  } catch {
    // Storage is blocked: nothing was kept.
  }
}

/** Return the tab's key. */
export function storedKey(): string | undefined {
  try {
    return kept ?? sessionStorage.getItem(STORED) ?? undefined;
  } catch {
    return kept;
  }
}
