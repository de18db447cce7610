/**
 * The gateway's REST interface, as far as this page uses it. Knows no page.
 */

import { CallFailure } from './call/failure';
import type { Account, CallRecord, CallToken, PhonebookEntry, Problem } from './wire';

const TIMEOUT_MS = 10_000;

export class Api {
  constructor(private readonly key: string) {}

  /** Ask for the one-use token of a call. Throws CallFailure. */
  callToken(destination: string): Promise<CallToken> {
    return this.#json('v1/call-tokens', { destination, codec: 'pcmu', origin: location.origin });
  }

  /** Read the account. Throws CallFailure. */
  account(): Promise<Account> {
    return this.#json('v1/account');
  }

  /** Read the latest calls, newest first. Throws CallFailure. */
  async calls(limit: number): Promise<CallRecord[]> {
    return (await this.#json<{ calls: CallRecord[] }>(`v1/calls?limit=${limit}`)).calls;
  }

  /** Read the numbers the operator offers to try; none where there is no phonebook. */
  async phonebook(): Promise<PhonebookEntry[]> {
    try {
      return (await this.#json<{ entries: PhonebookEntry[] }>('v1/phonebook')).entries;
    } catch {
      return [];
    }
  }

  async #json<T>(path: string, body?: object): Promise<T> {
    const response = await this.#fetch(path, body);
    if (response.ok) return response.json() as Promise<T>;
    if (response.status === 401) throw new CallFailure('key-refused');
    throw new CallFailure('request-refused', await readProblem(response));
  }

  async #fetch(path: string, body?: object): Promise<Response> {
    const headers = new Headers({ Authorization: `Bearer ${this.key}`, Accept: 'application/json' });
    if (body) headers.set('Content-Type', 'application/json');
    try {
      return await fetch(new URL(path, document.baseURI), {
        method: body ? 'POST' : 'GET',
        headers,
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch {
      throw new CallFailure(navigator.onLine ? 'gateway-unreachable' : 'offline');
    }
  }
}

async function readProblem(response: Response): Promise<Partial<Problem>> {
  try {
    return (await response.json()) as Problem;
  } catch {
    // A proxy's answer: its status is all it says.
    return { status: response.status };
  }
}
