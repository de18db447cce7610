/** Declares what an element is given by script alone. */

import type { PropertyDeclarations } from 'lit';

/** Return the properties of an element by their names: a change of one redraws it, and none is an attribute. */
export function fields(...names: string[]): PropertyDeclarations {
  return Object.fromEntries(names.map((name) => [name, { attribute: false }]));
}
