/** Names of numbers: kept in this browser, few, and read with care. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NAME_LENGTH_MAX, labelOf, setLabel } from '../../../web/src/labels';

const kept = new Map<string, string>([['caller-labels', '[["+49301", "Oma"], ["+49302", 5], "x", null]']]);

Object.defineProperty(globalThis, 'localStorage', {
  value: {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  },
});

test('what is stored is read, and what is none is left out', () => {
  assert.equal(labelOf('+49301', []), 'Oma');
  assert.equal(labelOf('+49302', []), '');
});

test('the own name goes before that of the phonebook', () => {
  const phonebook = [{ number: '+49301', label: 'Echo' }, { number: '+49303', label: 'Time' }];
  assert.equal(labelOf('+49301', phonebook), 'Oma');
  assert.equal(labelOf('+49303', phonebook), 'Time');
});

test('a name is trimmed and bounded, and an empty one is none', () => {
  setLabel('+49304', `  ${'x'.repeat(99)}  `);
  assert.equal(labelOf('+49304', []), 'x'.repeat(NAME_LENGTH_MAX));
  setLabel('+49304', '  ');
  assert.equal(labelOf('+49304', []), '');
});

test('of very many names the oldest goes, and nothing stays when the last is gone', () => {
  for (let n = 0; n < 500; n++) setLabel(`+1${n}`, 'name');
  assert.equal(labelOf('+49301', []), '');
  assert.equal(labelOf('+1499', []), 'name');
  for (let n = 0; n < 500; n++) setLabel(`+1${n}`, '');
  assert.equal(kept.has('caller-labels'), false);
});
