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
  /** Line of the log that rings as an error -> what to do first, where the gateway knows a step of its own. */
  next_steps: Record<string, string>;
  /** Code of each refusal -> what it says in English. */
  refusals: Record<string, string>;
}

export const vectors = JSON.parse(readFileSync(process.env.CALLER_VECTORS as string, 'utf8')) as Vectors;
