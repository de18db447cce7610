/** What stands beside the phone, what is told of a call and what follows it, in one file: no call waits for it. */

import { addWords } from '../i18n';
import { beside } from '../i18n/en/beside';
import { keepOffline } from '../installed/keep-offline';
import './call-facts';
import './call-notices';
import './no-calls';
import './outcome';
import './owner';
import './phonebook';
import './recent-calls';

export { accompany } from '../installed/call-outside';
export { aside, before, keyForm, owner, topUp } from './aside';
export { Reading } from './reading';
export { takeReturned } from './returned';
export type { Returned } from './returned';
export { askWho } from './who';

addWords(beside);
keepOffline();
