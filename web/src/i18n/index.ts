/** Words in the reader's language. */

import { phone } from '../../../gateway/words/en/phone/phone';
import { addWords, strings } from './language';
import type { Key } from './language';

export { addWords } from './language';
export type { Key } from './language';

addWords(phone);

/** Return the text of a key that may have none. */
export function known(key: string): string | undefined {
  return strings[key];
}

/** Return the text, its {names} filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return seconds as 0:07, 12:40 or 1:02:03. */
export function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  const rest = two(Math.floor(seconds) % 60);
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}
