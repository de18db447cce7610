/** What alarms say in the reader's language. Pure. */

import type { Alarm } from './contract';
import { country, short } from './format';
import { entryOf, ofGateway } from './language';

/** Rules whose subject is a country, or one with a prefix: `DE +4915`. */
const OF_COUNTRIES = ['calls_fail', 'slow_ringing'];

/** Return what is wrong and what to do first: the gateway's words in English, a table's in other languages. */
export function alarmInWords({ rule, subject, value, title, action }: Alarm): readonly [string, string] {
  const own = ofGateway();
  const found = own && entryOf(own.alarms, rule);
  if (!found) return [title, action];
  const [titleOf, ofRule] = found;
  const next = (rule === 'errors' && entryOf(own.nextSteps, subject)) || ofRule;
  const [name, prefix] = OF_COUNTRIES.includes(rule) ? subject.split(' +') : [subject];
  const about = entryOf(own.subjects, name) ?? (OF_COUNTRIES.includes(rule) ? country(name) : name);
  return [titleOf(prefix ? `${about} +${prefix}` : about, short(value), value), next];
}
