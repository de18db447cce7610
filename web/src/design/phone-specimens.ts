/** Every element of the phone in every state, by its own properties. What an element asks of the gateway is answered here. */

import type { AutoTopUp, CallRecord, PaymentRecord, PaymentState, TopUpOffer } from '../answers';
import { Api } from '../api';
import { addWords } from '../i18n';
import { beside } from '../../../gateway/words/en/phone/beside';
import { CallerError, dialling } from '../sdk/core';
import type { CallState, Ending, Money } from '../sdk/core';
import { OWN_WORDS } from '../sdk/error-words';
import '../ui/app';
import '../ui/beside';
import '../ui/feedback';
import '../ui/key-form';
import '../ui/key-offer';
import '../ui/line-check';
import '../ui/paying';
import '../ui/return-call';
import '../ui/sound-settings';
import type { TopUp } from '../ui/top-up';

const NUMBER = '+442079460018';
const AT = '2026-11-20T11:00:00Z';

const usd = (micros: number): Money => ({ micros, currency: 'USD', text: '' });

/** Answers every request with what a specimen shows; a missing answer never comes. */
class Answered extends Api {
  constructor(private readonly answer?: unknown) {
    super('ck_specimen');
  }

  override json<T>(): Promise<T> {
    return this.answer === undefined ? new Promise(() => {}) : Promise.resolve(this.answer as T);
  }
}

const RATE = { per_minute: usd(13_000), connect_fee: usd(10_000), first_increment_s: 60, next_increment_s: 1, description: 'United Kingdom' };

const LIVE: CallState = {
  ...dialling(NUMBER),
  phase: 'live',
  rate: RATE,
  cost: usd(172_900),
  balance: usd(12_340_000),
  remainingSeconds: 3725,
  quality: 'good',
  path: 'webrtc',
  roundTripMs: 34,
  talking: { browser: true, carrier: false },
};

/** States of a call that is under way -> what differs from one that goes well. */
const CALLS: Record<string, Partial<CallState>> = {
  connecting: { phase: 'connecting', rate: undefined },
  ringing: { phase: 'ringing' },
  good: {},
  fair: { quality: 'fair' },
  poor: { quality: 'poor' },
  'quality unknown': { quality: undefined as never },
  'muted and held': { muted: true, held: true },
  'supervised: heard': { supervised: 'listen' },
  'supervised: taken over': { supervised: 'take-over' },
  lost: { lost: true, cutAtMs: 1e9 },
  draining: { drainedAtMs: 1e9 },
  'ends: credit': { remainingSeconds: 30, endWarning: { secondsLeft: 30, cause: 'credit' } },
  'ends: cap': { remainingSeconds: 30, endWarning: { secondsLeft: 30, cause: 'cap' } },
  'ends: duration': { remainingSeconds: 30, endWarning: { secondsLeft: 30, cause: 'duration' } },
  warned: { warnings: { 'high-jitter': 'The connection is uneven.', 'microphone-silent': '', 'no-audio-from-phone': 'No sound.' } },
};

const AUTO: AutoTopUp = { enabled: false, threshold: usd(5e6), amount: usd(20e6), has_card: true, off_reason: '' };

const OFFER: TopUpOffer = {
  enabled: true,
  currency: 'USD',
  amounts: [usd(10e6), usd(25e6), usd(50e6)],
  minimum: usd(5e6),
  maximum: usd(500e6),
  auto: AUTO,
};

const PAYMENT_STATES: PaymentState[] = ['created', 'open', 'processing', 'paid', 'failed', 'expired', 'disputed', 'lost'];

type Element = keyof HTMLElementTagNameMap | `caller-${string}`;

function make(tag: Element, properties: object = {}): HTMLElement {
  return Object.assign(document.createElement(tag), properties);
}

/** Give what has no edge of its own the card that it stands in. */
function inCard(...children: readonly HTMLElement[]): HTMLElement {
  const card = make('section', { className: 'specimen' });
  card.append(...children);
  return card;
}

/** Do what only an element that stands in the page can. */
function later<Made extends HTMLElement>(element: Made, act: () => void): Made {
  window.setTimeout(act);
  return element;
}

function open(element: HTMLElement, properties: object): void {
  const details = element.shadowRoot?.querySelector('details');
  if (details) details.open = true;
  Object.assign(element, properties);
}

/** Return the specimens; each creates new elements. */
export async function phoneSpecimens(): Promise<Record<string, () => readonly HTMLElement[]>> {
  addWords(beside);
  return { ...elsewhere(), ...calls(), ...outcomes(), ...lists(), ...tools(), ...paying() };
}

function elsewhere(): Record<string, () => readonly HTMLElement[]> {
  const api = new Answered();
  const refusal = { code: 'number_premium', title: 'Premium numbers cannot be called.', action: 'Call an ordinary number.' };
  const quote = { destination: NUMBER, rate: RATE, balance: usd(12_340_000), affordable_seconds: 3725 };
  const revoked = new CallerError('request_refused', { code: 'key_revoked' });
  const offer = { offered: undefined, account: 'example', theirs: 'other' };
  return {
    app: () => [make('caller-app')],
    phone: () => [make('caller-phone', { api })],
    'phone, tools open': () => [make('caller-phone', { api, opened: 'testLine' })],
    'dialler: empty': () => [inCard(make('caller-dialler', { api }))],
    'dialler: priced': () => [inCard(make('caller-dialler', { api, text: NUMBER, answer: quote }))],
    'dialler: refused': () => [inCard(make('caller-dialler', { api, text: '+19005550100', answer: { refusal } }))],
    'dialler: complaint': () => [inCard(make('caller-dialler', { api, text: '12', complaint: 'Write the number in full.' }))],
    credit: () => [make('caller-credit', { balance: usd(12_340_000), isShown: true })],
    'credit: unknown': () => [make('caller-credit', { isShown: true })],
    'call in another tab': () => [make('caller-elsewhere', { number: NUMBER, label: 'Echo' })],
    'no calls': () => [make('caller-no-calls')],
    'key form': () => [make('caller-key-form')],
    'key form: signed out': () => [make('caller-key-form', { hasAccounts: true })],
    'key form: complaint': () => [make('caller-key-form', { complaint: 'This does not look like an API key.' })],
    'key form: failed': () => [make('caller-key-form', { failure: revoked })],
    'key form: paid': () => [make('caller-key-form', { returned: 'paid' })],
    'key offer: known': () => [make('caller-key-offer', { ...offer, state: 'known' })],
    'key offer: unknown': () => [make('caller-key-offer', { ...offer, theirs: undefined, state: 'unknown' })],
    'key offer: refused': () => [make('caller-key-offer', { ...offer, state: 'refused' })],
    'owner: key': () => [make('caller-owner', { api, account: 'example' })],
    'owner: signed in': () => [make('caller-owner', { api: { key: undefined }, account: 'example' })],
  };
}

function calls(): Record<string, () => readonly HTMLElement[]> {
  const call = { disconnect() {}, mute() {}, hold() {} };
  const shown = (differs: Partial<CallState>, more: object = {}): readonly HTMLElement[] => {
    const answered = differs.phase ? {} : { answeredAtMs: performance.now() - 754_000 };
    const state = { ...LIVE, ...answered, ...differs };
    return [inCard(make('caller-in-call', { call, state, api: new Answered(), offer: OFFER, label: 'Echo', ...more }))];
  };
  const named = Object.entries(CALLS).map(([name, differs]) => [`call: ${name}`, () => shown(differs)]);
  return {
    ...(Object.fromEntries(named) as Record<string, () => readonly HTMLElement[]>),
    'call: keypad': () => shown({ sentDigits: '0123', heardDigits: '7' }, { opened: 'keypad' }),
    'call: sound': () => shown({}, { opened: 'sound' }),
    'call: no card': () => shown(CALLS['ends: credit'], { offer: { ...OFFER, auto: { ...AUTO, has_card: false } } }),
  };
}

function outcomes(): Record<string, () => readonly HTMLElement[]> {
  const ended = (differs: Partial<Ending>): CallState => {
    const ending = { call_id: 'c', cause: 16, name: '', message: '', ended_by: 'carrier', seconds: 754, cost: usd(172_900), action: '', cut_off: null };
    return { ...LIVE, phase: 'ended', ending: { ...ending, ...differs } };
  };
  const each = (found: object[]) => (): readonly HTMLElement[] => found.map((properties) => make('caller-outcome', properties));
  const causes = Object.keys(beside).flatMap((key) => /^cause\.(\d+)$/.exec(key)?.[1] ?? []).map(Number);
  const kinds = Object.keys(OWN_WORDS).filter((kind) => `failure.${kind}` in beside);
  const refused = new CallerError('request_refused', { code: 'insufficient_credit' });
  const feedback = (differs: object) => (): readonly HTMLElement[] => {
    const element = make('caller-feedback', { api: new Answered(), callId: 'c' });
    return [inCard(later(element, () => Object.assign(element, differs)))];
  };
  return {
    feedback: feedback({}),
    'feedback: flawed': feedback({ stars: 2, flaws: ['echo'] }),
    'feedback: sending': feedback({ stars: 5, phase: 'sending' }),
    'feedback: failed': feedback({ stars: 5, phase: 'failed' }),
    'feedback: sent': feedback({ stars: 5, phase: 'sent' }),
    'outcome: each cause': each(causes.map((cause) => ({ state: ended({ cause }) }))),
    'outcome: each end': each([
      { state: ended({ ended_by: 'caller' }) },
      { state: ended({ ended_by: 'callee' }) },
      ...['credit', 'cap', 'duration'].map((cut_off) => ({ state: ended({ cut_off: cut_off as Ending['cut_off'] }), canTopUp: true })),
      { failure: refused, canTopUp: true },
    ]),
    'outcome: each failure': each(kinds.map((kind) => ({ failure: new CallerError(kind as keyof typeof OWN_WORDS) }))),
  };
}

function lists(): Record<string, () => readonly HTMLElement[]> {
  const records = Object.keys(beside)
    .filter((key) => /^cause\.\d+$/.test(key))
    .map((key, i): CallRecord => {
      const cause = Number(key.slice('cause.'.length));
      const cost = i % 5 ? usd(172_900) : null;
      return { id: key, state: 'ended', destination: NUMBER, created_at: AT, answered_at: AT, ended_at: AT, seconds: 3725, cost, cause, cause_name: '' };
    });
  const entries = [
    { number: '+15005551000', label: 'Echo' },
    { number: NUMBER, label: 'A label as long as operators write them' },
  ];
  return {
    'recent calls': () => [make('caller-recent-calls', { calls: records, canCall: true })],
    'recent calls: empty': () => [make('caller-recent-calls', { calls: [] })],
    'recent calls: loading': () => [make('caller-recent-calls')],
    'recent calls: failed': () => [make('caller-recent-calls', { failed: true })],
    phonebook: () => [make('caller-phonebook', { entries })],
    'phonebook: during a call': () => [make('caller-phonebook', { entries, busy: true })],
  };
}

function tools(): Record<string, () => readonly HTMLElement[]> {
  const api = new Answered();
  const verdicts = ['good', 'fair', 'poor', 'failed'] as const;
  const checks = verdicts.map((verdict) => {
    const result = { verdict, path: 'webrtc', mos: 4, rtt_ms: 34, jitter_ms: 1, loss_percent: 0, level_dbov: -20, message: 'What was heard.', action: '' };
    return [`line check: ${verdict}`, () => [inCard(make('caller-line-check', { api, result }))]] as const;
  });
  const kept = { callId: 'c', account: '', token: '', mediaUrl: '', destination: NUMBER, seconds: 600 };
  const back = (more: object) => () => [inCard(make('caller-return-call', { call: { ...kept, seenAt: Date.now() }, ...more }))];
  return {
    ...Object.fromEntries(checks),
    'line check': () => [inCard(make('caller-line-check', { api }))],
    'line check: speaking': () => [inCard(make('caller-line-check', { api, phase: 'speaking' }))],
    'line check: refused': () => [inCard(make('caller-line-check', { api, failure: new CallerError('microphone_refused') }))],
    'sound settings': () => [inCard(make('caller-sound-settings'))],
    'return to a call': back({ label: 'Echo' }),
    'return to a call: ending': back({ ending: true }),
    'return to a call: stays': back({ stays: true }),
  };
}

function paying(): Record<string, () => readonly HTMLElement[]> {
  const api = new Answered();
  const record = (state: PaymentState): PaymentRecord => {
    const receipt_url = state === 'paid' ? 'https://pay.example/receipt' : '';
    return { id: state, state, amount: usd(25e6), receipt_url, failure: 'expired_card', created_at: AT, kind: 'auto', refunded: usd(state === 'paid' ? 1e6 : 0) };
  };
  const progress = PAYMENT_STATES.map((state) => {
    const followed = { id: state, ...(state === 'open' && { url: 'https://pay.example/' }) };
    return [`payment: ${state}`, () => [make('caller-payment-progress', { api: new Answered(record(state)), followed })]] as const;
  });
  const cards = (['ready', 'charging', 'unknown', 'refused', 'charged'] as const).map((state) => {
    const words = state === 'ready' || state === 'charging' ? ['', ''] : ['What has happened.', 'What is next.'];
    return [`saved card: ${state}`, () => [inCard(make('caller-saved-card', { api, offer: OFFER, state, words }))]] as const;
  });
  const auto = (differs: Partial<AutoTopUp>, more: object = {}) => (): readonly HTMLElement[] => {
    const element = make('caller-auto-top-up', { api, offer: { ...OFFER, auto: { ...AUTO, ...differs } } });
    return [inCard(later(element, () => open(element, more)))];
  };
  return {
    ...Object.fromEntries(progress),
    ...Object.fromEntries(cards),
    payments: () => [make('caller-payments', { payments: PAYMENT_STATES.map(record) })],
    'top-up: closed': () => [make('caller-top-up', { api, offer: OFFER })],
    'top-up: open': () => {
      const element = make('caller-top-up', { api, offer: OFFER }) as TopUp;
      return [later(element, () => void element.open())];
    },
    'automatic top-up': auto({ enabled: true }),
    'automatic top-up: off': auto({ off_reason: 'expired_card' }),
    'automatic top-up: no card': auto({ has_card: false }),
    'automatic top-up: complaint': auto({ enabled: true }, { amountComplaint: 'The minimum is $5.00.' }),
  };
}
