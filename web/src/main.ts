/** Starts the phone page. */

import { chooseLanguage } from './i18n';

await chooseLanguage(navigator.languages);
await import('./ui/app');
