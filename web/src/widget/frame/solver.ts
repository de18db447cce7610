/** The worker that solves a challenge, so that the page stays quick. */

import { find, payload } from './proof';
import type { Challenge } from './proof';

self.onmessage = ({ data }: MessageEvent<Challenge>) => {
  const number = find(data);
  self.postMessage(number === undefined ? '' : payload(data, number));
};
