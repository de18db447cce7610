/**
 * The API key of this tab. It arrives in the address's fragment, which browsers never send, and lives in
 * sessionStorage: closing the tab forgets it.
 */

const STORED = 'caller-key';

/** Characters of a key; anything else was pasted by mistake, and a header could not carry it. */
const KEY = /^[\x21-\x7e]{8,256}$/;

let kept: string | undefined;

/** Return the key, taking it out of the address if it is there. */
export function takeKey(): string | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1)).get('key');
  if (fragment !== null) {
    history.replaceState(null, '', location.pathname + location.search);
    keepKey(fragment);
  }
  return storedKey();
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

function storedKey(): string | undefined {
  try {
    return kept ?? sessionStorage.getItem(STORED) ?? undefined;
  } catch {
    return kept;
  }
}
