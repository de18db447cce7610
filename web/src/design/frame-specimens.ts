/** Every state of the button's frame, drawn by its own screen and views. */

import { dialling } from '../sdk/core';
import type { CallState } from '../sdk/core';
import { h } from '../widget/frame/dom';
import type { Status } from '../widget/frame/embed-api';
import { feedback } from '../widget/frame/feedback';
import { InCall } from '../widget/frame/in-call';
import { OUTCOMES } from '../widget/frame/outcome';
import { Screen } from '../widget/frame/screen';
import { closed } from '../widget/frame/closed';
import * as views from '../widget/frame/views';
import { hasNext, next, t } from '../widget/frame/words';
import { words } from '../../../gateway/words/en/widget';

const nothing = (): void => {};

const STATUS: Status = {
  state: 'open',
  mode: 'live',
  opens_at: null,
  zone: 'Europe/Berlin',
  hours: [...Array.from({ length: 5 }, (): [number, number][] => [[540, 720], [780, 1020]]), [[0, 1440]], []],
  name: 'Customer service of a company with a long name',
  seconds_max: 600,
  takes_feedback: true,
  operator: { name: 'Example Calls', privacy_url: 'https://calls.example/privacy' },
};

const ACTIONS: views.Actions = {
  call: nothing,
  again: nothing,
  hangUp: nothing,
  page: `${location.origin}/c/pk_test_0123456789abcdefghijklmn`,
  qr: document.querySelector<HTMLElement>('main')?.dataset.picture ?? '',
  isFramed: true,
};

const LIVE: CallState = { ...dialling(''), phase: 'live', answeredAtMs: 0, quality: 'good', talking: { browser: true, carrier: false } };

/** States of a call that is answered -> what differs from one that goes well. */
const CALLS: Record<string, Partial<CallState>> = {
  good: {},
  fair: { quality: 'fair' },
  poor: { quality: 'poor' },
  'quality unknown': { quality: undefined as never },
  muted: { muted: true },
  'supervised: heard': { supervised: 'listen' },
  'supervised: taken over': { supervised: 'take-over' },
  lost: { lost: true, cutAtMs: 1e9 },
  'microphone silent': { warnings: { 'microphone-silent': '' } },
  'not heard': { warnings: { 'no-audio-from-browser': '' } },
  'phone silent': { warnings: { 'no-audio-from-phone': '' } },
  'ends soon': { endWarning: { secondsLeft: 30, cause: 'cap' } },
  'keys sent': { sentDigits: '0123456789*#' },
};

/** Return the specimens; each draws into the page's main element and returns nothing to be put there. */
export function frameSpecimens(main: HTMLElement): Record<string, () => readonly HTMLElement[]> {
  const specimens: Record<string, () => readonly HTMLElement[]> = {};
  const add = (name: string, status: () => string, view: () => views.View, isOn = false, isTest = false): void => {
    specimens[name] = () => {
      const screen = new Screen(main, true, nothing);
      screen.name(STATUS.name, isTest);
      screen.show(status(), view(), isOn);
      return [];
    };
  };
  add('loading', () => t('loading'), () => []);
  add('ready', () => t('ready'), () => views.ready(STATUS, '', ACTIONS));
  add('ready, test', () => t('ready'), () => views.ready(STATUS, '', ACTIONS), false, true);
  add('ready, with terms', () => t('ready'), () => views.ready(STATUS, 'https://shop.example/terms', ACTIONS));
  const opens = { ...STATUS, opens_at: '2026-11-30T08:00:00Z' };
  add('closed', () => t('closed'), () => closed(opens, ACTIONS));
  add('closed for long', () => t('closed'), () => closed({ ...STATUS, hours: [] }, ACTIONS));
  const problems = Object.keys(words).filter(hasNext).filter((key) => !OUTCOMES.some((outcome) => outcome === key));
  for (const what of problems) add(`problem: ${what}`, () => t(what), () => views.problem(what, 90, ACTIONS));
  add('connecting', () => t('connecting'), () => views.waiting(false, ACTIONS), true);
  add('ringing', () => t('ringing'), () => views.waiting(true, ACTIONS), true);
  add('busy tone', () => t('busyTone'), () => views.waiting(true, ACTIONS), true);
  for (const [name, differs] of Object.entries(CALLS)) {
    const isOpen = name === 'keys sent';
    add(`call: ${name}`, () => t(differs.lost ? 'reconnecting' : differs.muted ? 'liveMuted' : 'live'), () => inCall(differs, isOpen), true);
  }
  for (const outcome of OUTCOMES) {
    const seconds = outcome === 'answered' ? 3725 : 0;
    add(`ended: ${outcome}`, () => t(outcome), () => views.ended(outcome, seconds, next(outcome), ACTIONS));
  }
  add('ended, asked how it was', () => t('answered'), () => {
    const place = h('div');
    void feedback(() => new Promise(nothing)).then((asked) => place.replaceWith(asked));
    return views.ended('answered', 3725, '', ACTIONS, place);
  });
  return specimens;
}

function inCall(differs: Partial<CallState>, isOpen: boolean): views.View {
  const actions = { mute: nothing, press: nothing, volume: nothing, hangUp: nothing };
  const shown = new InCall({ ...LIVE, answeredAtMs: performance.now() - 754_000, ...differs }, actions);
  shown.level(0.1, 0.02);
  const keys = shown.nodes.flatMap((node) => [...(node as HTMLElement).querySelectorAll<HTMLElement>('[aria-expanded]')]);
  if (isOpen) keys[0].click();
  return shown.nodes;
}
