/** Every word of the live page where no calls can be shown. */

import { english } from '../../../gateway/words/en/live/door';
import { spoken } from './language';

export const words = spoken('door', english);
