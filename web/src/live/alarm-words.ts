/** What alarms say in the reader's language. Pure. */

import type { Alarm } from './contract';
import { country, short } from './format';
import { entryOf, ofGateway } from './language';

/** The subject of what no country is known of, as the gateway writes it. */
const NO_COUNTRY = 'no country';

/** Rules whose subject is a country. */
const OF_COUNTRIES = ['calls_fail', 'slow_ringing'];

/** Return what is wrong and what to do first: the gateway's words in English, a table's in other languages. */
export function alarmInWords({ rule, subject, value, title, action }: Alarm): readonly [string, string] {
  const own = ofGateway();
  const found = own && entryOf(own.alarms, rule);
  if (!found) return [title, action];
  const [titleOf, next] = found;
  const about = !OF_COUNTRIES.includes(rule) ? subject : subject === NO_COUNTRY ? own.noCountry : country(subject);
  return [titleOf(about, short(value), value), next];
}
