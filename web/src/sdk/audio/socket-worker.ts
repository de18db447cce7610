/** The worker that owns the media socket, so that a busy page delays no audio. */

import { mediaConnection } from './media-connection';
import type { FromWorker, ToConnection } from './ports';

const post = (message: FromWorker): void => self.postMessage(message);

const take = mediaConnection(post);
self.onmessage = ({ data }: MessageEvent<ToConnection>) => take(data);
post({ kind: 'up' });
