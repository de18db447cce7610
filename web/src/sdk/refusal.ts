/** What a refused request says. */

import { CallerError } from './call/error';
import type { Problem } from './wire';

/** Return why a request was refused: in the gateway's own words, if it is its answer (RFC 9457). */
export async function refusalOf(response: Response): Promise<CallerError> {
  if (response.status === 401) return new CallerError('key_refused');
  try {
    return new CallerError('request_refused', (await response.json()) as Problem);
  } catch {
    // A proxy's answer: its status is all it says.
    return new CallerError('request_refused', { status: response.status });
  }
}
