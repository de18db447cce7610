/** What stands beside the phone, in one file: a call can be placed without waiting for it. */

import { addWords } from '../i18n';
import { beside } from '../i18n/en-beside';
import './phonebook';
import './recent-calls';

addWords(beside);
