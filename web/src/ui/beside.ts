/** What stands beside the phone and what follows a call, in one file: a call can be placed without waiting for it. */

import { addWords } from '../i18n';
import { beside } from '../i18n/en-beside';
import './call-notices';
import './outcome';
import './phonebook';
import './recent-calls';

addWords(beside);
