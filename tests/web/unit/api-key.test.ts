/** The key of a tab: a link brings one, and takes none away. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { answerOffer, dropKey, keepKey, offeredKey, storedKey, takeKey } from '../../../web/src/api-key';

const OWN = 'ck_own_0123456789';
const LINKED = 'ck_linked_0123456';
const kept = new Map<string, string>();
const address = new URL('https://phone.example/?top-up=pay_1');
Object.assign(globalThis, {
  sessionStorage: {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  },
  location: address,
  history: {
    replaceState: (_state: null, _title: string, shown: URL) => {
      assert.equal(shown.href, 'https://phone.example/?top-up=pay_1');
      address.hash = '';
    },
  },
});

function open(key: string): void {
  address.hash = `#key=${key}`;
  takeKey();
  assert.equal(address.hash, '', 'the address keeps no key');
}

beforeEach(() => {
  dropKey();
  answerOffer(false);
  assert.equal(kept.size, 0);
});

test('a link gives a key to a tab that has none', () => {
  open(` ${LINKED}%20`);
  assert.deepEqual([storedKey(), offeredKey()], [LINKED, undefined]);
});

test('a link takes the place of no key unasked', () => {
  keepKey(OWN);
  open(LINKED);
  assert.deepEqual([storedKey(), offeredKey()], [OWN, LINKED]);
  assert.deepEqual([...kept.values()], [OWN]);
  answerOffer(false);
  assert.deepEqual([storedKey(), offeredKey()], [OWN, undefined]);
  open(LINKED);
  answerOffer(true);
  assert.deepEqual([storedKey(), offeredKey()], [LINKED, undefined]);
});

test('the latest of two links is the one that is offered', () => {
  keepKey(OWN);
  open(LINKED);
  open('ck_another_0123456');
  assert.equal(offeredKey(), 'ck_another_0123456');
});

test('the same key, and what is none, is not offered', () => {
  keepKey(OWN);
  for (const key of [OWN, '', 'short', 'ck_\u00fcmlaut_012345', 'x'.repeat(300)]) {
    open(key);
    assert.deepEqual([storedKey(), offeredKey()], [OWN, undefined]);
  }
});

test('another fragment is left alone', () => {
  address.hash = '#top';
  takeKey();
  assert.equal(address.hash, '#top');
});
