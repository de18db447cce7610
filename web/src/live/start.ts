/** Starts the live page in the reader's language. */

import { takeKey } from '../api-key';
import { chooseLanguage } from './language';

// Before anything can be waited for: an address is seen, copied and kept.
takeKey();
// Calls are read in English rather than not at all.
await chooseLanguage(navigator.languages).catch(() => {});
await import('./live-page');
