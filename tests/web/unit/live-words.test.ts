/** The words of the live page, in every language. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { languages } from 'languages:../../../gateway/words/*/live';
import { causes } from '../../../gateway/words/en/endings';
import { alarmInWords } from '../../../web/src/live/alarm-words';
import { english as call } from '../../../gateway/words/en/live/call';
import type { Alarm } from '../../../web/src/live/contract';
import { english as door } from '../../../gateway/words/en/live/door';
import { entryOf } from '../../../web/src/live/language';
import type { Words } from '../../../web/src/live/language';
import { english as operators } from '../../../gateway/words/en/live/operators';
import { english as reports } from '../../../gateway/words/en/live/reports';
import { english as supervision } from '../../../gateway/words/en/live/supervision';
import { english as page } from '../../../gateway/words/en/live/page';
import { vectors } from './vectors';

type Said = (...values: unknown[]) => string;

/** Names joined by dots -> text, or what makes one. */
type Flat = Map<string, string | Said>;

const ENGLISH = flat({ page, call, door, operators, reports, supervision, causes });

const TABLES = Object.fromEntries(
  await Promise.all(Object.entries(languages).map(async ([code, load]) => [code, (await load!()).words as unknown as Words] as const)),
);

/** Values that are found again in what is said of them, and are of no number. */
const MARKS = ['⟦0⟧', '⟦1⟧', '⟦2⟧', '⟦3⟧'];

function flat(entries: object, path: readonly string[] = [], found: Flat = new Map()): Flat {
  for (const [name, entry] of Object.entries(entries) as [string, string | Said | object][]) {
    const here = [...path, name];
    if (typeof entry === 'object') flat(entry, here, found);
    else found.set(here.join('.'), entry as string | Said);
  }
  return found;
}

function written(entry: string | Said): string {
  return typeof entry === 'string' ? entry : entry(...MARKS);
}

for (const [code, table] of Object.entries(TABLES)) {
  const { gateway, ...own } = table;
  const said = flat(own);

  test(`${code} has each word of English and no other, in the same order`, () => {
    assert.deepEqual([...said.keys()], [...ENGLISH.keys()]);
  });

  test(`${code} says the same values`, () => {
    const values = (entry: string | Said): string[] => MARKS.filter((mark) => written(entry).includes(mark));
    for (const [name, entry] of ENGLISH) assert.deepEqual(values(said.get(name)!), values(entry), name);
  });

  test(`${code} leaves no text empty that English has`, () => {
    for (const [name, entry] of ENGLISH) assert.equal(Boolean(written(said.get(name)!).trim()), Boolean(written(entry).trim()), name);
  });

  test(`${code} has words for each rule of alarms`, () => {
    assert.deepEqual(Object.keys(gateway.alarms).sort(), [...vectors.alarm_rules].sort());
    for (const [rule, [title, action]] of Object.entries(gateway.alarms)) {
      const text = title('⟦0⟧', '⟦1⟧', 2);
      assert.ok(text.endsWith('.') && action.endsWith('.'), rule);
      // What rules say nothing of: whose value or subject is always the same.
      assert.equal(text.includes('⟦1⟧'), !['node_lost', 'store_rights'].includes(rule), rule);
      assert.equal(text.includes('⟦0⟧'), !['no_network', 'low_mos', 'one_way_audio', 'deletions_wait', 'store_away'].includes(rule), rule);
    }
  });

  test(`${code} says what to do first of each error that has a step of its own`, () => {
    assert.deepEqual(Object.keys(gateway.nextSteps).sort(), Object.keys(vectors.next_steps).sort());
    for (const [line, step] of Object.entries(gateway.nextSteps)) {
      const inEnglish = vectors.next_steps[line]!;
      assert.ok(step.endsWith('.') && step !== inEnglish, line);
      const named = (text: string): string[] => [...text.matchAll(/`[^`]+`|CALLER_\w+/g)].map(String).sort();
      assert.deepEqual(named(step), named(inEnglish), line);
    }
  });

  test(`${code} has words for refusals that the gateway knows`, () => {
    for (const [problem, text] of Object.entries(gateway.problems)) {
      assert.ok(problem in vectors.refusals, problem);
      assert.notEqual(text, vectors.refusals[problem]);
    }
  });

  test(`${code} tells one from many`, () => {
    const { alarms, paused, pageOf } = table.page;
    const counted: Said[] = [
      (count) => alarms(count as number),
      (count) => paused('#', count as number),
      (count) => pageOf('1', '1', '#', count as number),
    ];
    for (const say of counted) {
      const [none, one, two, many] = [0, 1, 2, 1_000_000].map((count) => say(count).replace(/^\d+/, '#'));
      assert.notEqual(one, two);
      // Nothing is one in French, and many elsewhere (Unicode CLDR, plural rules).
      assert.deepEqual([none, many], [new Intl.PluralRules(code).select(0) === 'one' ? one : two, two]);
    }
  });
}

test('there are other languages than English', () => {
  for (const code of ['de', 'es']) assert.ok(code in TABLES);
  assert.ok(!('en' in TABLES));
});

test('every cause of a call’s end has words', () => {
  for (const cause of vectors.causes) assert.ok(entryOf(causes, `cause.${cause}`), String(cause));
});

test('what another release says has no words, whatever its name', () => {
  for (const name of ['constructor', '__proto__', 'toString', '']) assert.equal(entryOf(door.endings, name), undefined);
  assert.deepEqual(entryOf(door.endings, 'unauthorized'), door.endings.unauthorized);
});

test('in English an alarm says what the gateway says', () => {
  const alarm = { rule: 'node_lost', subject: 'n', value: 1, title: 'Title.', action: 'Action.' } as Alarm;
  assert.deepEqual(alarmInWords(alarm), ['Title.', 'Action.']);
});
