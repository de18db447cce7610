/** What a tab remembers, and for how long. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { dropCall, isBlocked, keepCall, keptCall, secondsLeft, setBlocked } from '../../../web/src/sdk/call/tab-store';
import type { KeptCall } from '../../../web/src/sdk/call/tab-store';

const kept = new Map<string, string>();
const storage = {
  getItem: (name: string) => kept.get(name) ?? null,
  setItem: (name: string, value: string) => kept.set(name, value),
  removeItem: (name: string) => kept.delete(name),
};
Object.assign(globalThis, { sessionStorage: storage });

const CALL: KeptCall = {
  callId: 'call_1',
  token: '0.token',
  mediaUrl: 'wss://gateway.example/media',
  destination: '+15005551000',
  account: '',
  seconds: 15,
  seenAt: 1_000_000,
};

test('a call is kept as long as the gateway keeps it', () => {
  keepCall(CALL);
  assert.deepEqual(keptCall(1_014_900), CALL);
  assert.equal(secondsLeft(CALL, 1_004_100), 11);
  assert.equal(keptCall(1_015_000), undefined);
  dropCall('');
  assert.equal(keptCall(1_000_000), undefined);
});

test('who comes next with the tab neither sees nor touches what another has left', () => {
  const [ada, bob] = [
    { ...CALL, account: 'ada' },
    { ...CALL, callId: 'call_2', account: 'bob' },
  ];
  keepCall(ada);
  assert.equal(keptCall(1_000_000, 'bob'), undefined);
  assert.equal(keptCall(1_000_000), undefined);
  keepCall(bob);
  keepCall(CALL);
  dropCall('bob');
  assert.equal(keptCall(1_000_000, 'bob'), undefined);
  assert.deepEqual(keptCall(1_000_000), CALL);
  dropCall('');
  assert.equal(keptCall(1_000_000), undefined);
  assert.deepEqual(keptCall(1_000_000, 'ada'), ada);
  dropCall('ada');
});

test('what is no call is none', () => {
  kept.set('caller-call:', '{');
  assert.equal(keptCall(0), undefined);
});

test('a network that lets no WebRTC through is remembered until it is another', () => {
  assert.equal(isBlocked(), false);
  setBlocked(true);
  assert.equal(isBlocked(), true);
  setBlocked(false);
  assert.equal(isBlocked(), false);
});

test('where storage is blocked nothing is remembered, and nothing fails', () => {
  const refuse = (): never => {
    throw new Error('blocked');
  };
  Object.assign(globalThis, { sessionStorage: { getItem: refuse, setItem: refuse, removeItem: refuse } });
  keepCall(CALL);
  setBlocked(true);
  assert.equal(keptCall(1_000_000), undefined);
  assert.equal(isBlocked(), false);
  dropCall('');
});
