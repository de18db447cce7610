/** What the live feed says, as docs/design/0017-watching.md has it. Times are RFC 3339, money is micros. */

export type State = 'connecting' | 'ringing' | 'answered' | 'held' | 'ending' | 'ended' | 'lost';

export type Tag = 'silence' | 'high_jitter' | 'high_latency' | 'high_pdd' | 'high_packet_loss';

/** One call, whole each time. */
export interface Row {
  id: string;
  node: string;
  account_id: string;
  key_id: string;
  destination: string;
  country: string;
  /** By which the rate deck prices it, such as +4915. */
  prefix: string;
  origin: string;
  state: State;
  created_at: string;
  ringing_at: string | null;
  answered_at: string | null;
  ended_at: string | null;
  seconds: number;
  cost_micros: number;
  currency: string;
  per_minute_micros: number;
  cause: number | null;
  cause_name: string;
  ended_by: string;
  /** The carrier's own, told to operators only. */
  carrier_code?: number | null;
  path: 'webrtc' | 'websocket' | '';
  pdd_ms: number | null;
  mos: number | null;
  rtt_ms: number | null;
  jitter_ms: number | null;
  loss_percent: number | null;
  tags: Tag[];
}

/** One second of one call. */
export interface Sample {
  at: string;
  mos: number | null;
  rtt_ms: number | null;
  jitter_ms: number | null;
  loss_percent: number | null;
  caller_dbov: number | null;
  phone_dbov: number | null;
  backlog_ms: number | null;
  seconds: number;
  cost_micros: number;
}

/** Some calls: those that run, and those within the last quarter of an hour. */
export interface Health {
  calls: number;
  attempts: number;
  asr_percent: number | null;
  pdd_ms: number | null;
  mos: number | null;
  failed: number;
}

/** The calls that one prefix of the rate deck prices. */
export interface Prefix extends Health {
  prefix: string;
}

/** The calls into one country. */
export interface Country extends Health {
  country: string;
  /** Those of all with the most attempts; the country counts the calls of all others, too. */
  prefixes: Prefix[];
}

/** What is said of all calls together. */
export interface Totals {
  calls: number;
  by_state: Partial<Record<State, number>>;
  begun_per_minute: number;
  spend_micros_per_minute: Record<string, number>;
  asr_percent: number | null;
  acd_s: number | null;
  pdd_ms: number | null;
  rtt_p95_ms: number | null;
  mos: number | null;
  talk_percent: number | null;
  /** Live calls by `DURATION_BOUNDS`, and above the last. */
  durations: number[];
  countries: Country[];
}

/** How all calls stood at the end of a minute. */
export interface Minute extends Omit<Totals, 'begun_per_minute' | 'by_state' | 'durations' | 'countries'> {
  at: string;
  begun: number;
}

/** Bounds of `Totals.durations`, in seconds. */
export const DURATION_BOUNDS = [10, 30, 60, 180, 600, 1800, 3600] as const;

/** One process that holds calls. */
export interface FleetNode {
  node: string;
  calls: number;
  calls_max: number;
  is_draining: boolean;
  lag_ms: number | null;
  release: string;
  started_at: string;
  is_lost: boolean;
  /** From which level on it logs; empty where it does not say. */
  log_level: string;
  /** Until when that is not its setting. */
  log_level_until: string | null;
}

/** The fixed words of a line of some process's log. */
export interface Warning {
  at: string;
  node: string;
  level: 'warning' | 'error';
  event: string;
  call_id: string | null;
}

/** What a node, a country or all calls are watched for; another release may have others. */
export type AlarmRule =
  | 'node_lost'
  | 'loop_lag'
  | 'node_full'
  | 'calls_fail'
  | 'no_network'
  | 'slow_ringing'
  | 'low_mos'
  | 'one_way_audio'
  | 'spend'
  | 'errors'
  | 'ghost_calls'
  | 'audit_failure'
  | 'deletions_wait'
  | 'store_rights'
  | 'store_away';

/** Something that is wrong enough to be reported. */
export interface Alarm {
  /** By which it is acknowledged and silenced. */
  name: string;
  rule: string;
  subject: string;
  title: string;
  /** What to do first. */
  action: string;
  value: number;
  unit: string;
  since: string;
  state: 'raised' | 'acknowledged' | 'silenced';
  /** Who has acknowledged or silenced it, and why; empty for no one. */
  by: string;
  reason: string;
  /** When a silence ends. */
  until: string | null;
}

/** Event `delta`: what is new; `snapshot` has all of it but `gone`. */
export interface News {
  at: string;
  audience?: 'all' | 'account' | 'call';
  calls?: Row[];
  gone?: string[];
  totals?: Totals;
  nodes?: FleetNode[];
  /** All that stand. */
  alarms?: Alarm[];
  warnings?: Warning[];
  samples?: Sample[];
}
