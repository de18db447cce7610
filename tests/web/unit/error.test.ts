/** Errors of the SDK: one type, whoever the reason is. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { CallerError, asCallerError, errorOfMicrophone, speak } from '../../../web/src/sdk/call/error';
import { OWN_WORDS } from '../../../web/src/sdk/error-words';
import { refusalOf } from '../../../web/src/sdk/refusal';

test('without words an error is its code', () => {
  const { code, kind, title, message, action, retry } = new CallerError('offline');
  assert.deepEqual([code, kind, title, message, action, retry], ['offline', 'offline', 'offline', 'offline', '', false]);
});

test('errors of the page say themselves in its words', () => {
  speak(OWN_WORDS);
  const { title, action, retry, name } = new CallerError('microphone_missing');
  assert.deepEqual([title, action, retry, name], [...OWN_WORDS.microphone_missing, 'CallerError']);
  for (const [what, next] of Object.values(OWN_WORDS)) assert.ok(what.endsWith('.') && next.endsWith('.'));
});

test('what the gateway says goes before', async () => {
  const problem = { status: 402, code: 'insufficient_credit', title: 'No credit.', action: 'Top up.', retry: false };
  const { kind, code, title, action, retry } = await refusalOf(Response.json(problem, { status: 402 }));
  assert.deepEqual(
    [kind, code, title, action, retry],
    ['request_refused', 'insufficient_credit', 'No credit.', 'Top up.', false],
  );
  const closed = new CallerError('gateway_busy', { code: 'gateway_full', detail: 'All lines are in use.', retry: true });
  assert.deepEqual([closed.title, closed.action, closed.retry], ['All lines are in use.', '', true]);
});

test('a proxy and a refused key say what they can', async () => {
  const proxied = await refusalOf(new Response('<h1>Bad gateway</h1>', { status: 502 }));
  assert.deepEqual([proxied.code, proxied.problem], ['request_refused', { status: 502 }]);
  assert.equal((await refusalOf(new Response('', { status: 401 }))).code, 'key_refused');
});

test('what nobody foresaw is a fault of the page, with its cause', () => {
  const fault = new TypeError('x');
  assert.equal(asCallerError(fault).kind, 'page_crashed');
  assert.equal(asCallerError(fault).cause, fault);
  assert.equal(asCallerError(fault, 'token_unavailable').kind, 'token_unavailable');
  const own = new CallerError('offline');
  assert.equal(asCallerError(own, 'token_unavailable'), own);
});

test('refusals of the microphone are told apart', () => {
  const kinds = ['NotAllowedError', 'NotFoundError', 'NotReadableError', 'OfAnotherDay'].map((name) => {
    return errorOfMicrophone(new DOMException('', name)).kind;
  });
  assert.deepEqual(kinds, ['microphone_refused', 'microphone_missing', 'microphone_busy', 'microphone_busy']);
});
