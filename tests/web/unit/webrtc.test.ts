/** What is changed in a browser's offer. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { withNack } from '../../../web/src/sdk/call/webrtc';

const OFFER = 'm=audio 9 UDP/TLS/RTP/SAVPF 0 126\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000\r\n';

test('retransmission is asked for PCMU alone', () => {
  const lines = withNack(OFFER).split('\r\n');
  assert.deepEqual(lines.slice(1, 3), ['a=rtpmap:0 PCMU/8000', 'a=rtcp-fb:0 nack']);
  assert.equal(lines.filter((line) => line.startsWith('a=rtcp-fb')).length, 1);
});

test('an offer that asks already, or has no PCMU, stays as it is', () => {
  assert.equal(withNack(withNack(OFFER)), withNack(OFFER));
  assert.equal(withNack('m=video 9 x 96\r\n'), 'm=video 9 x 96\r\n');
});
