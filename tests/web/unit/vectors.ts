/** What the gateway's own code says, written for these tests by tests/web/test_unit.py. */

import { readFileSync } from 'node:fs';

interface Vectors {
  /** What each byte of mu-law stands for. */
  mulaw: number[];
  /** One message of each kind, as JSON. */
  messages: string[];
  /** Each cause of a call's end. */
  causes: number[];
  /** Each rule by which an alarm is raised. */
  alarm_rules: string[];
  /** Code of each refusal -> what it says in English. */
  refusals: Record<string, string>;
}

export const vectors = JSON.parse(readFileSync(process.env.CALLER_VECTORS as string, 'utf8')) as Vectors;
