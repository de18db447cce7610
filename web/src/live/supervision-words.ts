/** Every word of supervision on the live page. */

import { english } from '../../../gateway/words/en/live/supervision';
import { spoken } from './language';

export const words = spoken('supervision', english);
