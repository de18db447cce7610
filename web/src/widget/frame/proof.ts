/** Finds the number that a challenge asks for, in the format of ALTCHA (altcha.org/docs/v2/proof-of-work, version 1). Pure. */

import { digester } from './sha256';

/** `POST /v1/embed/{key}/challenges`. */
export interface Challenge {
  algorithm: string;
  /** SHA-256 of the salt and the number, in hex. */
  challenge: string;
  maxnumber: number;
  salt: string;
  signature: string;
}

/** Return the number; undefined where there is none up to the largest. */
export function find({ challenge, maxnumber, salt }: Challenge): number | undefined {
  const wanted = Array.from({ length: 8 }, (_, i) => parseInt(challenge.slice(8 * i, 8 * i + 8), 16) | 0);
  const digest = digester(salt);
  for (let number = 0; number <= maxnumber; number++) {
    const words = digest(String(number));
    if (wanted.every((word, i) => word === words[i])) return number;
  }
  return undefined;
}

/** Return what the gateway takes for the solution. */
export function payload({ algorithm, challenge, salt, signature }: Challenge, number: number): string {
  return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
}
