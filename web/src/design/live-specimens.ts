/** Every element of the live page in every state, by its own properties. */

import { Board } from '../live/board';
import { STATES } from '../live/call-list';
import type { Alarm, News, Row, Sample, Totals } from '../live/contract';
import type { Dialog, Question } from '../live/dialog';
import '../live/live-page';
import '../live/call';
import '../live/operators';
import type { CreditReport, FraudReport } from '../live/report-contract';
import '../live/reports';
import type { Order } from '../live/requests';
import '../live/supervision';
import { JOINING, OUT } from '../sdk/supervision';
import type { Supervision } from '../sdk/supervision';

const AT = '2026-11-20T11:00:00.000Z';
const NOW_MS = Date.parse(AT);

const ago = (seconds: number): string => new Date(NOW_MS - seconds * 1000).toISOString();

const ROW: Row = {
  id: 'call_01jd5k8v',
  node: 'node-a',
  account_id: 'acc_example',
  key_id: 'key_01jd',
  destination: '+442079460018',
  country: 'GB',
  prefix: '+4420',
  origin: 'https://shop.example',
  state: 'answered',
  created_at: ago(4000),
  ringing_at: ago(3998),
  answered_at: ago(3990),
  ended_at: null,
  seconds: 3980,
  cost_micros: 862_300,
  currency: 'USD',
  per_minute_micros: 13_000,
  cause: null,
  cause_name: '',
  ended_by: '',
  path: 'webrtc',
  pdd_ms: 1840,
  mos: 4.31,
  rtt_ms: 84,
  jitter_ms: 4.2,
  loss_percent: 0.2,
  tags: [],
};

const POOR: Partial<Row> = {
  mos: 3.2,
  rtt_ms: 431,
  jitter_ms: 34,
  loss_percent: 2.1,
  path: 'websocket',
  tags: ['high_latency', 'high_packet_loss', 'high_pdd'],
};

const OVER: Partial<Row> = { state: 'ended', ended_at: ago(30), cause: 602, ended_by: 'gateway' };

const ROWS = STATES.map((state, which): Row => {
  const isUp = which > 1;
  const before = { answered_at: null, mos: null, rtt_ms: null, jitter_ms: null, loss_percent: null, path: '' } as const;
  const over = state === 'ended' ? OVER : {};
  return { ...ROW, ...(isUp ? {} : before), ...(which % 2 ? {} : POOR), ...over, ...(!isUp && before), id: `call_${state}`, state };
});

const TOTALS: Totals = {
  calls: 1284,
  by_state: { ringing: 84, answered: 1200 },
  begun_per_minute: 412.5,
  spend_micros_per_minute: { USD: 12_340_000, EUR: 2_100_000 },
  asr_percent: 61.2,
  acd_s: 143,
  pdd_ms: 1420,
  rtt_p95_ms: 182,
  mos: 4.12,
  talk_percent: 72,
  durations: [12, 31, 84, 402, 510, 180, 52, 13],
  countries: ['GB', 'US', 'BA'].map((country, which) => {
    const all = { calls: 800 >> which, attempts: 2400 >> which, asr_percent: 61.2, pdd_ms: 1420, mos: which ? 4.1 : null, failed: 31 };
    const prefix = { ...all, prefix: ['+4477', '+1', '+3876'][which], calls: 300 >> which, attempts: 900 >> which, failed: 29 };
    return { country, ...all, prefixes: which ? [] : [prefix, { ...prefix, prefix: '+4420', failed: 1 }] };
  }),
};

const QUIET: Totals = {
  ...TOTALS,
  calls: 0,
  begun_per_minute: 0,
  spend_micros_per_minute: {},
  asr_percent: null,
  acd_s: null,
  pdd_ms: null,
  rtt_p95_ms: null,
  mos: null,
  talk_percent: null,
  durations: TOTALS.durations.map(() => 0),
  countries: [],
};

const NODE = { node: 'node-a', calls: 812, calls_max: 2000, is_draining: false, lag_ms: 3, release: '1.4.0', started_at: ago(90_000), is_lost: false, log_level: 'info', log_level_until: null };

const NODES = [NODE, { ...NODE, node: 'node-b', is_draining: true, log_level: 'debug', log_level_until: ago(-600) }, { ...NODE, node: 'node-c', is_lost: true, lag_ms: null }];

const WARNINGS = (['warning', 'error'] as const).map((level) => {
  return { at: AT, node: 'node-a', level, event: 'a media socket was lost', call_id: level === 'error' ? ROW.id : null };
});

const SAMPLES = Array.from({ length: 120 }, (_, second): Sample => {
  const wave = Math.sin(second / 7);
  const quality = { mos: 4.2 + wave / 10, rtt_ms: 80 + 20 * wave, jitter_ms: 6 + wave, loss_percent: 0.2 };
  const levels = { caller_dbov: -30 + 8 * wave, phone_dbov: -34 - 8 * wave, backlog_ms: 30 };
  return { at: ago(120 - second), ...quality, ...levels, seconds: second, cost_micros: second * 217 };
});

function board(news: Partial<News>): Board {
  const made = new Board();
  made.take('snapshot', { at: AT, audience: 'all', ...news }, NOW_MS);
  return made;
}

const ALARM: Alarm = {
  name: 'node_lost:n2',
  rule: 'node_lost',
  subject: 'n2',
  title: 'Node n2 is gone.',
  action: 'Look whether its process runs and reaches Valkey; its calls are settled by another node.',
  value: 1,
  unit: '',
  since: ago(200),
  state: 'raised',
  by: '',
  reason: '',
  until: null,
};

const ALARMS: Alarm[] = [
  ALARM,
  { ...ALARM, name: 'spend:USD', title: 'Calls cost 140 % of the bound a minute, in USD.', state: 'acknowledged', by: 'key ops', reason: 'A campaign' },
  { ...ALARM, name: 'low_mos:', title: 'Calls sound bad: MOS 2.9.', state: 'silenced', by: 'key ops', reason: 'Repair', until: ago(-1800) },
];

const FRAUD: FraudReport = {
  at: AT,
  since: ago(23 * 3600),
  rules: ['velocity', 'countries', 'premium', 'of-another-release'].map((rule, which) => {
    const by_hour = Array.from({ length: 24 }, (_, hour) => Math.round((which + 1) * (1 + Math.sin(hour / (which + 2)))));
    return { rule, count: 1840 >> (2 * which), accounts: 31 >> which, by_hour };
  }),
  accounts: [
    { account_id: 'acc_example', count: 1204, rules: { velocity: 1100, countries: 92, 'new-card': 12 }, last_hour: AT },
    { account_id: 'acc_another', count: 3, rules: { premium: 3 }, last_hour: ago(4 * 3600) },
  ],
  accounts_total: 31,
  frozen: [
    { account_id: 'acc_example', reasons: ['dispute', 'operator'], since: ago(400) },
    { account_id: 'acc_locked', reasons: ['locked'], since: ago(90_000) },
  ],
  frozen_total: 2,
};

const QUIET_FRAUD: FraudReport = { ...FRAUD, rules: [], accounts: [], accounts_total: 0, frozen: [], frozen_total: 0 };

const CREDIT: CreditReport = {
  at: AT,
  accounts: [600_000, 52_000, 9_000, 41_000_000].map((micros, which) => {
    const per_minute = { micros: 13_000, currency: 'USD' };
    return { account_id: `acc_${which}`, calls: 1, per_minute, balance: { micros, currency: 'USD' }, lasts_s: null };
  }),
  accounts_total: 5,
  cut_off: [
    { account_id: 'acc_example', calls: 12, last_at: ago(340) },
    { account_id: 'acc_2', calls: 1, last_at: ago(40_000) },
  ],
  cut_off_total: 2,
};

const CALLING = Array.from({ length: 5 }, (_, which): Row => ({ ...ROW, id: `call_${which}`, account_id: `acc_${which}` }));

/** Return name -> what makes the elements. */
export function liveSpecimens(): Record<string, () => readonly HTMLElement[]> {
  const seconds = (news: Partial<News>): Board => {
    const made = board(news);
    for (let second = 1; second < 60; second++) made.take('delta', { at: ago(-second), totals: { ...TOTALS, mos: 4 + Math.sin(second) / 9 } }, NOW_MS);
    return made;
  };
  const calls = (news: Partial<News>, isOperator = true): (() => readonly HTMLElement[]) => {
    return () => [make('live-calls', { board: board(news), nowMs: NOW_MS, isOperator, longMinutes: 60 })];
  };
  const call = (row: Row, samples: Sample[]): (() => readonly HTMLElement[]) => {
    return () => [make('live-call', { board: board({ audience: 'call', calls: [row], samples }), isOperator: true })];
  };
  const supervision = (differs: Partial<Supervision>, isOperator = true, row: Partial<Row> = {}): (() => readonly HTMLElement[]) => {
    return () => [make('live-supervision', { row: { ...ROW, ...row }, isOperator, supervision: { ...OUT, ...differs } })];
  };
  const inside = (differs: Partial<Supervision>): Partial<Supervision> => ({ phase: 'in', most: 'take-over', ...differs });
  const trouble = (code: string): Partial<Supervision> => ({ trouble: { code, title: '', action: '' } });
  const overview = (made: () => Board, isWall = false): (() => readonly HTMLElement[]) => {
    return () => [make('live-overview', { board: made(), nowMs: NOW_MS, isWall })];
  };
  const alarms = (each: Alarm[], isWall = false): (() => readonly HTMLElement[]) => {
    return () => [make('live-alarms', { alarms: each, nowMs: NOW_MS, isShown: true, isWall })];
  };
  const door = (code: string): (() => readonly HTMLElement[]) => () => [make('live-door', { connection: { phase: 'ended', code }, hasKey: true })];
  return {
    'live page': () => {
      // Never answered: a page that is refused tries again and again.
      window.fetch = () => new Promise(() => {});
      return [make('live-app')];
    },
    'live overview': overview(() => seconds({ totals: TOTALS })),
    'live overview: no calls': overview(() => board({ totals: QUIET })),
    'live overview: wall': overview(() => seconds({ totals: TOTALS }), true),
    'live calls': calls({ calls: ROWS }),
    'live calls: of an account': calls({ calls: ROWS }, false),
    'live calls: none': calls({}),
    'live call': call({ ...ROW, ...POOR }, SAMPLES),
    'live call: ended': call({ ...ROW, ...OVER }, []),
    'live supervision': supervision({}),
    'live supervision: heard by both': supervision(inside({ mode: 'barge', wanted: 'barge' })),
    'live supervision: not answered': supervision({}, true, { answered_at: null }),
    'live supervision: joining': supervision(JOINING),
    'live supervision: listening': supervision(inside({})),
    'live supervision: allowed no more': supervision(inside({ most: 'whisper', announced: false }), false),
    'live supervision: microphone opening': supervision(inside({ wanted: 'whisper' })),
    'live supervision: microphone refused': supervision(inside(trouble('microphone_refused'))),
    'live supervision: whispering': supervision(inside({ mode: 'whisper', wanted: 'whisper' })),
    'live supervision: taken over': supervision(inside({ mode: 'take-over', wanted: 'take-over' })),
    'live supervision: left': supervision({ wasIn: true }),
    'live supervision: lost': supervision({ wasIn: true, ...trouble('connection_lost') }),
    'live supervision: refused': supervision(trouble('supervision_refused')),
    'live supervision: refused to the holder': supervision(trouble('supervision_refused'), false),
    'live supervision: somebody else': supervision(trouble('already_supervised')),
    'live supervision: node silent': supervision(trouble('node_silent')),
    'live supervision: call ended': supervision({ wasIn: true, ...trouble('call_ended') }, true, OVER),
    'live nodes': () => [make('live-nodes', { board: board({ nodes: NODES, warnings: WARNINGS }), nowMs: NOW_MS })],
    'live nodes: none': () => [make('live-nodes', { board: board({}), nowMs: NOW_MS })],
    'live fraud': () => [make('live-fraud', { report: FRAUD, nowMs: NOW_MS })],
    'live fraud: nothing refused': () => [make('live-fraud', { report: QUIET_FRAUD, nowMs: NOW_MS })],
    'live fraud: loading': () => [make('live-fraud', { nowMs: NOW_MS })],
    'live fraud: not loaded again': () => [make('live-fraud', { report: FRAUD, nowMs: NOW_MS, failure: 'The gateway cannot be reached.' })],
    'live credit': () => [make('live-credit', { report: CREDIT, nowMs: NOW_MS, board: board({ calls: CALLING }) })],
    'live credit: no calls': () => [make('live-credit', { report: { ...CREDIT, cut_off: [] }, nowMs: NOW_MS, board: board({}) })],
    'live credit: not loaded': () => {
      return [make('live-credit', { nowMs: NOW_MS, failure: 'The gateway cannot be reached.', board: board({ calls: CALLING }) })];
    },
    'live door': door('unauthorized'),
    'live door: not allowed': door('scope_missing'),
    'live door: key refused': door('key_refused'),
    'live door: not a key': door('not_a_key'),
    'live door: trying': () => [make('live-door', { connection: { phase: 'connecting' }, hasKey: true })],
    'live alarms': alarms(ALARMS),
    'live alarms: wall': alarms(ALARMS, true),
    'live alarms: none': alarms([]),
    'live question': () => {
      const dialog = make('live-dialog') as Dialog;
      const choices: Question['choices'] = ['For', { 15: '15 minutes', 60: '1 hour' }];
      const order = (): Order => ({ path: '', done: '' });
      requestAnimationFrame(() => void dialog.ask({ title: 'Silence?', text: 'Node n2 is gone.', yes: 'Silence', why: 'It is kept.', choices, order }));
      return [dialog];
    },
  };
}

function make(name: string, properties: object = {}): HTMLElement {
  return Object.assign(document.createElement(name), properties);
}
