/** The live page's requests beside its feed, and their refusals. */

const TIMEOUT_MS = 10_000;

/** Why a request was refused. */
export class Refusal extends Error {
  /** `status` is 0 where nothing was answered; `code` is one of the gateway's, or empty. */
  constructor(
    readonly status: number,
    readonly code = '',
    message = '',
    readonly retryAfterS = 0,
    /** What to do about it, in the gateway's words. */
    readonly action = '',
  ) {
    super(message);
  }
}

/** Something to be done. */
export interface Order {
  path: string;
  /** POST where none is said. */
  method?: string;
  body?: object;
  /** What is shown once it is done. */
  done: string;
  /** Called once it is done. */
  taken?(): void;
}

/** Return the requester's headers and credentials: never a key beside a cookie, which the gateway refuses. */
export function identity(key: string | undefined): { credentials: RequestCredentials; headers: Record<string, string> } {
  return key
    ? { credentials: 'omit', headers: { Authorization: `Bearer ${key}` } }
    : { credentials: 'same-origin', headers: {} };
}

/** Return why an answer is a refusal (RFC 9457). */
export async function refusalOf(response: Response): Promise<Refusal> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Record<'code' | 'title' | 'detail' | 'action', string>>;
  const retryAfterS = Number(response.headers.get('Retry-After')) || 0;
  return new Refusal(response.status, problem.code, problem.detail ?? problem.title, retryAfterS, problem.action);
}

/** Ask for something; return the answer's body, if it has one. Throws Refusal. */
export async function ask(key: string | undefined, path: string, method = 'GET', body?: object): Promise<unknown> {
  const { credentials, headers } = identity(key);
  const options = {
    method,
    credentials,
    headers: { ...headers, Accept: 'application/json', ...(body && { 'Content-Type': 'application/json' }) },
    cache: 'no-store',
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body && { body: JSON.stringify(body) }),
  } as const;
  const response = await fetch(new URL(path, document.baseURI), options).catch(() => {
    throw new Refusal(0);
  });
  if (!response.ok) throw await refusalOf(response);
  return response.json().catch(() => undefined);
}
