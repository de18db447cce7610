/** What the page knows of a call, from the messages the gateway's own encoder writes. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import test from 'node:test';
import { CallerError, errorOfClose } from '../../../web/src/sdk/call/error';
import { dialling, elapsedSeconds, ended, heardAgain, lineQuality, received, speaking, unheard } from '../../../web/src/sdk/call/state';
import type { CallState } from '../../../web/src/sdk/call/state';
import { WIRE_VERSION, parseMessage } from '../../../web/src/sdk/wire';
import type { ClientMessage, GatewayMessage } from '../../../web/src/sdk/wire';
import { vectors } from './vectors';

const NUMBER = '+15005551000';
const messages = new Map(vectors.messages.map((text) => [parseMessage(text)?.type as string, parseMessage(text)]));

function message(type: GatewayMessage['type']): GatewayMessage {
  const found = messages.get(type);
  assert.ok(found, `the gateway sends no ${type}`);
  return found;
}

function after(...types: GatewayMessage['type'][]): CallState {
  return types.reduce((state, type) => received(state, message(type), 1000), dialling(NUMBER));
}

function sampled(state: CallState, ...scores: number[]): CallState {
  const sample = message('sample') as GatewayMessage & { type: 'sample' };
  return scores.reduce((before, mos) => received(before, { ...sample, carrier: { ...sample.carrier, mos } }, 1000), state);
}

test('a call goes from connecting over ringing and live to its end', () => {
  assert.equal(after().phase, 'connecting');
  assert.equal(after('ready').phase, 'connecting');
  assert.equal(after('ready', 'ringing').phase, 'ringing');
  assert.equal(after('ready', 'ringing', 'accept').phase, 'live');
  assert.equal(after('ready', 'ringing', 'accept', 'disconnect').phase, 'ended');
});

test('late ringing does not take a live call back', () => {
  assert.equal(after('accept', 'ringing').phase, 'live');
});

test('a tone says why the call fails; one of a call that goes on says nothing', () => {
  const busy: GatewayMessage = { type: 'tone', name: 'busy' };
  assert.equal(received(after('ready'), busy, 1000).tone, 'busy');
  for (const name of ['connecting', 'ringback'] as const) {
    assert.equal(received(after('ready'), { type: 'tone', name }, 1000).tone, undefined);
  }
});

test('ready brings the rate', () => {
  assert.equal(after('ready').rate?.per_minute.micros, 13_000);
});

test('cost and credit are shown as they come', () => {
  const state = after('accept', 'cost', 'credit');
  assert.equal(state.cost?.micros, 217);
  assert.equal(state.balance?.micros, 4_999_783);
  assert.equal(state.remainingSeconds, 23_075);
});

test('mute, hold, keys and speech of both sides are kept', () => {
  const state = after('mute', 'hold', 'dtmf', 'dtmf', 'talk');
  assert.deepEqual(
    [state.muted, state.held, state.heardDigits, state.talking],
    [true, true, '77', { browser: false, carrier: true }],
  );
});

test('who else is in the call is known until they have left', () => {
  const state = after('accept', 'supervised');
  assert.equal(state.supervised, 'take-over');
  assert.equal(received(state, { type: 'supervised', mode: null }, 1000).supervised, null);
});

test('a gateway that is not heard leaves nothing to be shown of the line, and a time of the end', () => {
  const lost = unheard(sampled(after('ready', 'accept', 'talk'), 4.3), 5000);
  assert.deepEqual([lost.lost, lost.quality, lost.talking], [true, undefined, { browser: false, carrier: false }]);
  assert.equal(lost.cutAtMs, 20_000);
  assert.equal(unheard(dialling(NUMBER), 5000).cutAtMs, undefined);
  const again = heardAgain(lost);
  assert.deepEqual([again.lost, again.cutAtMs, again.phase], [false, undefined, 'live']);
});

test('a call that is cut off has no connection to get back', () => {
  const cut = received(after('accept'), { type: 'tone', name: 'cut-off' } as GatewayMessage, 5000);
  assert.equal(cut.tone, 'cut-off');
  assert.deepEqual(unheard(cut, 8000), cut);
});

test('nobody is heard on hold, nor who is muted', () => {
  const state = { ...after('accept'), talking: { browser: true, carrier: true } };
  assert.deepEqual(speaking(state), { browser: true, carrier: true });
  assert.deepEqual(speaking({ ...state, muted: true }), { browser: false, carrier: true });
  assert.deepEqual(speaking({ ...state, held: true }), { browser: false, carrier: false });
});

test('a gateway that drains says when the call ends', () => {
  assert.equal(after('accept', 'draining').drainedAtMs, 31_000);
});

test('warnings stand until they are cleared', () => {
  assert.deepEqual(Object.keys(after('warning').warnings), ['media']);
  assert.deepEqual(after('warning', 'warning-cleared').warnings, {});
});

test('a warning of the end stands until it is taken back', () => {
  assert.deepEqual(after('accept', 'credit-warning').endWarning, { secondsLeft: 30, cause: 'credit' });
  assert.equal(after('accept', 'credit-warning', 'credit-warning-cleared').endWarning, undefined);
});

test('the clock of a call that is cut off stands while its tone is heard', () => {
  const live = received(dialling(NUMBER), message('accept'), 10_000);
  const cut = received(live, { type: 'tone', name: 'cut-off' }, 15_500);
  assert.deepEqual([cut.phase, cut.tone, elapsedSeconds(cut, 17_900)], ['live', 'cut-off', 5]);
  assert.equal(elapsedSeconds(received(cut, message('disconnect'), 17_900), 99_000), 5);
});

test('a disconnect says why, how long and what it cost', () => {
  const { ending, cost } = after('accept', 'disconnect');
  assert.deepEqual([ending?.cause, ending?.seconds, cost?.micros], [17, 1, 217]);
});

test('messages the state does not know change nothing', () => {
  const state = after('ready');
  for (const type of ['tone', 'volume', 'pong', 'error'] as const) {
    assert.equal(received(state, message(type), 0), state);
  }
});

test('time counts from the answer to the end', () => {
  const live = received(dialling(NUMBER), message('accept'), 10_000);
  assert.equal(elapsedSeconds(dialling(NUMBER), 99_000), 0);
  assert.equal(elapsedSeconds(live, 12_999), 2);
  assert.equal(elapsedSeconds(ended(live, 15_000), 99_000), 5);
});

test('the first ending stands', () => {
  const over = after('accept', 'disconnect');
  assert.equal(ended(over, 9, new CallerError('connection_lost')), over);
});

test('a call taken up again keeps its clock', () => {
  const live = received(dialling(NUMBER), message('accept'), 10_000);
  assert.equal(elapsedSeconds(received(live, message('accept'), 40_000), 50_000), 40);
});

test('a page that returns to a call learns how long it has lasted', () => {
  const cost = message('cost') as GatewayMessage & { type: 'cost' };
  const back = received(dialling(NUMBER), message('accept'), 1000);
  assert.equal(elapsedSeconds(received(back, { ...cost, seconds: 75 }, 1000), 3000), 77);
  // What is charged late does not turn the clock back.
  assert.equal(elapsedSeconds(received(back, { ...cost, seconds: 0 }, 5000), 5000), 4);
});

test('the line is as good as its worse direction', () => {
  assert.equal(after().quality, undefined);
  assert.equal(after('sample').quality, 'fair');
  assert.equal(after('sample').roundTripMs, 34.5);
  assert.deepEqual([4.4, 4, 3.99, 3.6, 3.59, 1].map(lineQuality), ['good', 'good', 'fair', 'fair', 'poor', 'poor']);
});

test('quality changes once three samples in a row agree', () => {
  const good = sampled(after(), 4.4);
  assert.equal(good.quality, 'good');
  assert.equal(sampled(good, 2, 2).quality, 'good');
  assert.equal(sampled(good, 2, 2, 4.4, 2, 2).quality, 'good');
  assert.equal(sampled(good, 2, 2, 2).quality, 'poor');
});

test('every close of the socket has a meaning', () => {
  const meanings = [1006, 1008, 1011, 1012, 1013, 1007, 4400, 4429].map((code) => errorOfClose(code).code);
  assert.deepEqual(meanings, [
    'connection_lost',
    'token_refused',
    'gateway_failed',
    'gateway_busy',
    'gateway_busy',
    'protocol_error',
    'protocol_error',
    'protocol_error',
  ]);
});

test('text that is no message is refused', () => {
  for (const text of ['', '{', 'null', '7', '[]', '{}', '{"type":1}']) assert.equal(parseMessage(text), undefined);
});

test('the page can say all that the protocol knows', () => {
  const said: ClientMessage[] = [
    { type: 'start', version: WIRE_VERSION, token: 'token' },
    { type: 'resume', version: WIRE_VERSION, call_id: 'call_1', token: '1.token' },
    { type: 'offer', id: 1, sdp: 'v=0' },
    { type: 'media', path: 'webrtc' },
    { type: 'report', packets: 50, lost: 1, concealed_ms: 20.5, jitter_ms: 3, buffer_ms: 40.5, rtt_ms: null },
    { type: 'mute', muted: true },
    { type: 'hold', held: true },
    { type: 'dtmf', digits: '12*#' },
    { type: 'supervise', mode: 'take-over' },
    { type: 'hangup' },
    { type: 'ping', id: 1 },
  ];
  // Read back by the gateway's own parser, in test_unit.py.
  writeFileSync(process.env.CALLER_SAID as string, JSON.stringify(said));
});
