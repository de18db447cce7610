/**
 * Names that somebody has given to numbers they call. They stay in this browser, which sends them nowhere; nothing is
 * kept before the first name is given. Where storage is blocked they live as long as the page.
 */

import type { PhonebookEntry } from './answers';

const STORED = 'caller-labels';

const NAMES_MAX = 500;

export const NAME_LENGTH_MAX = 40;

/** Number in E.164 -> name; the one given last is the last. */
let names: Map<string, string> | undefined;

/** Return the name of a number: the own one, else that of the operator's phonebook; empty for none. */
export function labelOf(number: string, phonebook: readonly PhonebookEntry[]): string {
  return kept().get(number) ?? phonebook.find((entry) => entry.number === number)?.label ?? '';
}

/** Give a number a name; an empty one takes it away. Of very many names the oldest goes. */
export function setLabel(number: string, name: string): void {
  const named = kept();
  named.delete(number);
  const text = name.trim().slice(0, NAME_LENGTH_MAX);
  if (text) named.set(number, text);
  const [oldest] = named.keys();
  if (named.size > NAMES_MAX) named.delete(oldest);
  try {
    if (named.size) localStorage.setItem(STORED, JSON.stringify([...named]));
    else localStorage.removeItem(STORED);
  } catch {
    // Storage is blocked.
  }
}

function kept(): Map<string, string> {
  names ??= new Map(stored());
  return names;
}

/** What another version of this page, or anybody, has written there is read with care. */
function stored(): [string, string][] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(STORED) ?? '[]');
    return Array.isArray(found) ? found.filter(isNamed).slice(-NAMES_MAX) : [];
  } catch {
    return [];
  }
}

function isNamed(entry: unknown): entry is [string, string] {
  return Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === 'string');
}
