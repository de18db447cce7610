/** Events out of bytes, at every split. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { StreamParser } from '../../../web/src/live/sse';
import type { StreamEvent } from '../../../web/src/live/sse';

const encoder = new TextEncoder();

/** Return the events of a text that comes in these pieces. */
function parsed(pieces: readonly Uint8Array[], id = ''): StreamEvent[] {
  const parser = new StreamParser(id);
  return pieces.flatMap((piece) => parser.push(piece));
}

const whole = (text: string): StreamEvent[] => parsed([encoder.encode(text)]);

const STREAM =
  '\ufeff: hello\n\nid: 1:7\nevent: snapshot\ndata: {"to": "Zürich ☎"}\n\n:\r\n\r\nevent: delta\r\nid:1:8\r\ndata: a\r\ndata:  b\r\n\r\n' +
  'data\rdata:c:d\r\rretry: 10\nunknown: x\nevent: lost\n\ndata: 😀\n\n';

const EVENTS: StreamEvent[] = [
  { id: '1:7', type: 'snapshot', data: '{"to": "Zürich ☎"}' },
  { id: '1:8', type: 'delta', data: 'a\n b' },
  { id: '1:8', type: 'message', data: '\nc:d' },
  { id: '1:8', type: 'message', data: '😀' },
];

test('fields, comments, line ends and letters of any size are understood', () => {
  assert.deepEqual(whole(STREAM), EVENTS);
});

test('bytes may be split anywhere', () => {
  const bytes = encoder.encode(STREAM);
  for (let at = 0; at <= bytes.length; at++) {
    assert.deepEqual(parsed([bytes.subarray(0, at), bytes.subarray(at)]), EVENTS, `split at ${at}`);
  }
});

test('bytes may come one by one, and empty pieces between them', () => {
  const pieces = [...encoder.encode(STREAM)].flatMap((byte) => [Uint8Array.of(byte), new Uint8Array()]);
  assert.deepEqual(parsed(pieces), EVENTS);
});

test('what is not ended by an empty line is no event', () => {
  assert.deepEqual(whole('data: a\n'), []);
  assert.deepEqual(whole('data: a'), []);
});

test('an event goes on with the id of the connection before', () => {
  assert.deepEqual(parsed([encoder.encode('data: a\n\n')], '1:9'), [{ id: '1:9', type: 'message', data: 'a' }]);
});

test('an id with NUL is none', () => {
  assert.deepEqual(whole('id: a\0b\ndata: a\n\n'), [{ id: '', type: 'message', data: 'a' }]);
});

test('an event beyond all bounds is refused, whether its line ends or not', () => {
  const piece = encoder.encode('x'.repeat(1024 * 1024));
  const endless = [encoder.encode('data: '), ...Array<Uint8Array>(32).fill(piece)];
  assert.throws(() => parsed(endless), RangeError);
  const line = encoder.encode(`data: ${'x'.repeat(1024 * 1024)}\n`);
  assert.throws(() => parsed(Array<Uint8Array>(32).fill(line)), RangeError);
});

test('many events may be longer together', () => {
  const event = encoder.encode(`data: ${'x'.repeat(1024 * 1024)}\n\n`);
  assert.equal(parsed(Array<Uint8Array>(40).fill(event)).length, 40);
});
