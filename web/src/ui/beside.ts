/** What surrounds the phone, the notices of a call and what follows it, in one file that no call waits for. */

import { addWords } from '../i18n';
import { beside } from '../../../gateway/words/en/phone/beside';
import { keepOffline } from '../installed/keep-offline';
import './call-facts';
import './call-keys';
import './call-meters';
import './call-notices';
import './call-pulse';
import './credit';
import './elsewhere';
import './key-help';
import './outcome';
import './owner';
import './phonebook';
import './recent-calls';
import './tools';

export { labelOf } from '../labels';
export { playKey, stopKeys } from '../sdk/call/tones';
export { aside, before, credit, keyForm, noCalls, openTopUp, owner } from './aside';
export { aboveDialler } from './idle';
export { keyDown } from './keys';
export { Quoting } from './quoting';
export { Reading } from './reading';
export { takeReturned } from './returned';
export type { Returned } from './returned';
export { askWho } from './who';
export { Writing } from './writing';

addWords(beside);
keepOffline();
