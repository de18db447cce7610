/** Starts the phone page. */

import { takeKey } from './api-key';
import { chooseLanguage } from './i18n/language';

// Before anything can be waited for: an address is seen, copied and kept.
takeKey();
await chooseLanguage(navigator.languages);
await import('./ui/app');
