/** What only one call's page says. */

import { english } from '../../../gateway/words/en/live/call';
import { spoken } from './language';

export const words = spoken('call', english);
