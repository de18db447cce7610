/** Gets a token from a gateway, or from the page's own server, which passes on what a gateway says. */

import { unreachable } from './call/error';
import { refusalOf } from './refusal';
import type { MediaToken } from './wire';

const TIMEOUT_MS = 10_000;

/**
 * Post `body` there as JSON and return the token that is answered. Throws CallerError: with the gateway's own words
 * where it refuses (application/problem+json, RFC 9457).
 */
export async function fetchToken<Token extends MediaToken>(url: string, body: object = {}, init: RequestInit = {}): Promise<Token> {
  const headers = new Headers(init.headers);
  headers.set('Content-Type', 'application/json');
  const request = { method: 'POST', ...init, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT_MS) };
  const response = await fetch(url, request).catch(() => {
    throw unreachable();
  });
  if (!response.ok) throw await refusalOf(response);
  return response.json() as Promise<Token>;
}
