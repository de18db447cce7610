/** The words of the live page that each of its parts may say. */

import { english } from '../../../gateway/words/en/live/page';
import { spoken } from './language';

export const words = spoken('page', english);
