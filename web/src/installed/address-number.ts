/**
 * The number that a link to the phone brings: `#to=`, or `?to=` from programs that have no fragment. A fragment is
 * never sent, while proxies log queries. Pure.
 */

/** As the field for numbers takes it. */
const LENGTH_MAX = 64;

/** Return the number that is in an address and the address without it; undefined where none is. */
export function takeOut(href: string): { number: string; rest: string } | undefined {
  const url = new URL(href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const given = fragment.get('to') ?? url.searchParams.get('to');
  if (given === null) return undefined;
  fragment.delete('to');
  url.searchParams.delete('to');
  url.hash = fragment.toString();
  // A plus sign that was not escaped is read as a space (URL, 5.1); it makes a number international.
  const number = given.replace(/^(tel:)? +(?=\d)/i, '$1+').trim();
  return { number: number.length <= LENGTH_MAX ? number : '', rest: url.href };
}
