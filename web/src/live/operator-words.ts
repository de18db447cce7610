/** Every word of what only operators see on the live page. */

import { english } from '../../../gateway/words/en/live/operators';
import { spoken } from './language';

export const words = spoken('operators', english);
