/** A token that waits for its call. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { WaitingToken } from '../../../web/src/sdk/token';

const TOKEN = { token: 't', media_url: 'wss://gateway.example/media', expires_in_seconds: 60 };

test('a token is good once', () => {
  const waiting = new WaitingToken();
  assert.equal(waiting.take(0), undefined);
  assert.equal(waiting.lack().kind, 'token_missing');
  waiting.put(TOKEN, 1000);
  assert.equal(waiting.take(60_999), TOKEN);
  assert.equal(waiting.take(1000), undefined);
  assert.equal(waiting.lack().kind, 'token_missing');
});

test('a token is good until it expires, and told of ten seconds before', () => {
  const waiting = new WaitingToken();
  assert.equal(waiting.warnInMs(0), undefined);
  waiting.put(TOKEN, 1000);
  assert.equal(waiting.warnInMs(1000), 50_000);
  assert.equal(waiting.warnInMs(58_000), 0);
  assert.equal(waiting.take(61_000), undefined);
  assert.equal(waiting.lack().kind, 'token_expired');
});

test('a token that does not say how long it is good is good for ever', () => {
  const waiting = new WaitingToken();
  waiting.put({ token: 't', media_url: 'wss://gateway.example/media' }, 0);
  assert.equal(waiting.warnInMs(0), undefined);
  assert.equal(waiting.take(1e12)?.token, 't');
});
