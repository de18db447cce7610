/**
 * What the gateway and a page say to each other: the messages of the media socket, version 1, the tokens that open
 * it and how requests are refused. Mirrors gateway/browser/messages.py; knows no socket and no page.
 */

export const WIRE_VERSION = 1;

/** Exact, and as a person reads it in English. */
export interface Money {
  micros: number;
  currency: string;
  text: string;
}

export interface Rate {
  per_minute: Money;
  connect_fee: Money;
  first_increment_s: number;
  next_increment_s: number;
  description: string;
}

/** How the audio travels between page and gateway. */
export type Path = 'webrtc' | 'websocket';

/** What the page measures of the phone's voice; counts since the start. */
export interface Report {
  /** Received, 20 ms each. */
  packets: number;
  lost: number;
  concealed_ms: number;
  jitter_ms: number;
  /** What a sample waits for its turn in the page. */
  buffer_ms: number;
  /** Round trip of the audio's own path; null while it is not known. */
  rtt_ms: number | null;
}

/** What somebody else in the call does: hears both, speaks to the caller, to both, or to the phone in the caller's place. */
export type SupervisionMode = 'listen' | 'whisper' | 'barge' | 'take-over';

export type FirstMessage =
  | { type: 'start'; version: typeof WIRE_VERSION; token: string }
  | { type: 'resume'; version: typeof WIRE_VERSION; call_id: string; token: string };

export type ClientMessage =
  | FirstMessage
  | { type: 'offer'; id: number; sdp: string }
  | { type: 'media'; path: Path }
  | ({ type: 'report' } & Report)
  | { type: 'mute'; muted: boolean }
  | { type: 'hold'; held: boolean }
  | { type: 'dtmf'; digits: string }
  | { type: 'supervise'; mode: SupervisionMode }
  | { type: 'hangup' }
  | { type: 'ping'; id: number };

export type LegName = 'browser' | 'carrier';

/** What a call runs out of: its account's credit, a spending limit, or the longest time allowed. */
export type Lack = 'credit' | 'cap' | 'duration';

/** How a call ended. `cause` is ITU-T Q.850, or FreeSWITCH's extension of it. */
export interface Ending {
  call_id: string;
  cause: number;
  name: string;
  message: string;
  ended_by: string;
  /** Charged for; null, like `cost`, where only the call's record tells it. */
  seconds: number | null;
  cost: Money | null;
  action: string;
  /** What the call ran out of when it was cut off; null if it ended otherwise. */
  cut_off: Lack | null;
  /** `message` by language, where the carrier has told more than the cause says. */
  messages?: Readonly<Record<string, string>>;
}

/** One direction of the call during the last seconds. */
export interface LegSample {
  loss_percent: number;
  jitter_ms: number;
  concealed_percent: number;
  backlog_ms: number;
  level_dbov: number;
  /** 1 to 4.5 (ITU-T G.107). */
  mos: number;
}

export interface Ready {
  version: number;
  call_id: string;
  destination: string;
  codec: 'pcmu' | 'pcm16';
  frame_bytes: number;
  /** Told to those who pay for the call. */
  rate?: Rate;
  /** Whether an offer is taken here. */
  webrtc: boolean;
  /** Takes the call up again after this socket is lost; empty where that is not possible. */
  resume_token: string;
  /** How long the phone is kept for it. */
  resume_seconds: number;
}

/** To a supervisor. */
export interface SupervisionReady {
  version: number;
  call_id: string;
  frame_bytes: number;
  /** What the account allows, and with it all that is less. */
  most: SupervisionMode;
  /** Whether it is announced to both parties. */
  announced: boolean;
}

export interface CheckResult {
  verdict: 'good' | 'fair' | 'poor' | 'failed';
  path: Path;
  mos: number;
  rtt_ms: number | null;
  jitter_ms: number;
  loss_percent: number;
  level_dbov: number;
  message: string;
  /** Empty where nothing is wrong. */
  action: string;
}

export interface Sample {
  path: Path;
  rtt_ms: number | null;
  carrier_rtt_ms: number | null;
  /** The caller's voice, as the phone hears it, and the phone's, as the caller hears it. */
  browser: LegSample;
  carrier: LegSample;
}

export type GatewayMessage =
  | ({ type: 'ready' } & Ready)
  | { type: 'check-ready'; version: number; seconds: number; webrtc: boolean }
  | ({ type: 'supervision-ready' } & SupervisionReady)
  | { type: 'supervise'; mode: SupervisionMode }
  | { type: 'supervised'; mode: SupervisionMode | null }
  | ({ type: 'check-result' } & CheckResult)
  | { type: 'answer'; id: number; sdp: string }
  | { type: 'offer-refused'; id: number; code: string; message: string }
  | { type: 'media'; path: Path }
  | { type: 'stalled'; leg: LegName; stalled: boolean }
  | ({ type: 'sample' } & Sample)
  | { type: 'ringing' }
  | { type: 'tone'; name: 'connecting' | 'ringback' | 'busy' | 'congestion' | 'cut-off' }
  | { type: 'accept'; at: string }
  | { type: 'mute'; muted: boolean }
  | { type: 'hold'; held: boolean }
  | { type: 'dtmf'; digit: string }
  | { type: 'talk'; leg: LegName; talking: boolean }
  | { type: 'volume'; input_dbov: number; output_dbov: number }
  | { type: 'cost'; seconds: number; cost: Money }
  | { type: 'credit'; balance: Money; remaining_seconds: number }
  | { type: 'credit-warning'; seconds_left: number; cause: Lack }
  | { type: 'credit-warning-cleared'; seconds_left: number }
  | { type: 'draining'; seconds_left: number }
  | { type: 'warning'; name: string; message: string }
  | { type: 'warning-cleared'; name: string }
  | ({ type: 'cancel' } & Ending)
  | ({ type: 'disconnect' } & Ending)
  | { type: 'error'; code: string; message: string; action: string; retry: boolean; retry_after_s?: number }
  | { type: 'pong'; id: number };

/** Return the message, or undefined for text that is not one; unknown types pass, for a newer gateway. */
export function parseMessage(text: string): GatewayMessage | undefined {
  try {
    const value = JSON.parse(text) as GatewayMessage | null;
    return typeof value?.type === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `POST /v1/check-tokens`: good for one media socket. */
export interface MediaToken {
  token: string;
  media_url: string;
  /** How long it is good, from when it was made. */
  expires_in_seconds?: number;
}

/** `POST /v1/call-tokens`: valid for one call. Prices are sent only to those who pay for it. */
export interface CallToken extends MediaToken {
  destination?: string;
  rate?: Rate;
  balance?: Money;
  affordable_seconds?: number;
}

/** `application/problem+json` (RFC 9457). */
export interface Problem {
  status: number;
  code: string;
  title?: string;
  detail?: string;
  action?: string;
  retry?: boolean;
}
