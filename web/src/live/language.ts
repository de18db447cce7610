/** The reader's language and its words, chosen once, before any part of the page is loaded. */

import { languages } from 'languages:../../../gateway/words/*/live';
import { chosen } from '../i18n/choice';
import type { Causes } from '../../../gateway/words/en/endings';
import type { english as call } from '../../../gateway/words/en/live/call';
import type { AlarmRule } from './contract';
import type { english as door } from '../../../gateway/words/en/live/door';
import type { english as operators } from '../../../gateway/words/en/live/operators';
import type { english as reports } from '../../../gateway/words/en/live/reports';
import type { english as supervision } from '../../../gateway/words/en/live/supervision';
import type { english as page } from '../../../gateway/words/en/live/page';

export { locale } from '../i18n/choice';

/** Codes of refusals that the page shows as they come. */
export type Problem =
  | 'alarm_not_found'
  | 'call_ended'
  | 'call_not_found'
  | 'internal_error'
  | 'network_refused'
  | 'node_not_found'
  | 'node_silent'
  | 'node_stopping'
  | 'rate_limited'
  | 'scope_missing'
  | 'store_unavailable'
  | 'too_many_silences'
  | 'unauthorized';

/** Lines of the log that ring as errors, and of which the gateway knows what to do first. */
export type NextStep =
  | 'another process serves as this node'
  | 'credits of closed books missing at the gate'
  | 'drainer overdue'
  | 'mails not sent'
  | 'nodes have different secrets'
  | 'older copy not refilled'
  | 'outbox of a partition not drained'
  | 'outbox too long'
  | 'shared data not refreshed'
  | 'too many endings not booked';

/** Subjects of alarms that are no name of anything. */
export type Subject = 'no country' | 'at the carrier' | 'of lost nodes' | 'not done for days';

/** What an alarm is about: its subject, and its value as it is written and as a number. */
export type AlarmTitle = (subject: string, value: string, count: number) => string;

/** Every word of the page in a language, by the part that says it. */
export interface Words {
  page: typeof page;
  call: typeof call;
  door: typeof door;
  operators: typeof operators;
  reports: typeof reports;
  supervision: typeof supervision;
  causes: Causes;
  /** What the gateway says itself in English. */
  gateway: {
    /** Of each rule of alarms its title, and what to do first. */
    alarms: Record<AlarmRule, readonly [AlarmTitle, string]>;
    /** Of each line of the log that rings as an error and has a step of its own, that step. */
    nextSteps: Record<NextStep, string>;
    /** Subjects that are words. */
    subjects: Record<Subject, string>;
    problems: Record<Problem, string>;
  };
}

let table: Partial<Words> = {};

/** Choose the first of the reader's languages that there is a table for. Throws if it does not come. */
export async function chooseLanguage(preferred: readonly string[]): Promise<void> {
  table = (await chosen<Words>(preferred, languages)) ?? {};
}

/** Return the words of a part: the reader's, else the English ones, which the part brings along. */
export function spoken<Part extends Exclude<keyof Words, 'gateway'>>(part: Part, english: Words[Part]): Words[Part] {
  return table[part] ?? english;
}

/** Return what is said in place of the gateway's own words; undefined in English. */
export function ofGateway(): Words['gateway'] | undefined {
  return table.gateway;
}

/** Return the entry of a name that another release of the gateway may have made; undefined for none. */
export function entryOf<Entry>(entries: Readonly<Record<string, Entry>>, name: string | number): Entry | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined;
}
