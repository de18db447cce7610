/** What is said beside a call. Loaded with the parts that say it. */

import type { CheckResult } from '../sdk/core';
import { addWords, known, t } from '.';
import { tools } from '../../../gateway/words/en/phone/tools';

export { t } from '.';

/** Speech below this is hard to hear on a telephone, in dBov: 20 dB under its usual level (ITU-T P.56). */
const QUIET_DBOV = -46;

addWords(tools);

/** Return how calls will sound and what to do: the gateway's words in English, a table's in other languages. */
export function verdictInWords({ verdict, message, action, level_dbov: level }: CheckResult): [string, string] {
  if (verdict === 'good' && level < QUIET_DBOV) return [t('quiet'), t('quiet.next')];
  return [known(`verdict.${verdict}.what`) ?? message, known(`verdict.${verdict}.next`) ?? action];
}
