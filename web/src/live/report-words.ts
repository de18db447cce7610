/** Every word of what operators see of refused calls and of credit. */

import { english } from '../../../gateway/words/en/live/reports';
import { spoken } from './language';

export const words = spoken('reports', english);
