/**
 * What the gateway and this page say to each other: the messages of the media socket, version 1, and the
 * REST answers the page reads. Mirrors gateway/browser/messages.py; knows no socket and no page.
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
  /** What the call was cut off for want of; null where it ended otherwise. */
  cut_off: Lack | null;
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
  rate: Rate;
  /** Whether an offer is taken here. */
  webrtc: boolean;
  /** Takes the call up again after this socket is lost; empty where that is not possible. */
  resume_token: string;
  /** How long the phone is kept for it. */
  resume_seconds: number;
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
    const value: unknown = JSON.parse(text);
    const known = typeof value === 'object' && value !== null && 'type' in value;
    return known && typeof value.type === 'string' ? (value as GatewayMessage) : undefined;
  } catch {
    return undefined;
  }
}

/** `POST /v1/quotes`: what a call would cost, and how long it can last. */
export interface Quote {
  destination: string;
  rate: Rate;
  balance: Money;
  affordable_seconds: number;
  /** What ends it then; absent at an older gateway. */
  limited_by?: Lack;
  refusal?: undefined;
}

/** The quote of a call that may not be placed. */
export interface QuoteRefusal {
  refusal: Pick<Problem, 'code' | 'title' | 'action'>;
}

/** `POST /v1/check-tokens`: good for one media socket. */
export interface MediaToken {
  token: string;
  media_url: string;
}

/** `POST /v1/call-tokens`. */
export interface CallToken extends Quote, MediaToken {}

/** `GET /v1/key`: whose a key is, and what it may do; an older page meets scopes it does not know. */
export interface KeyAccess {
  account: string;
  scopes: string[];
}

/** `GET /v1/account`. */
export interface Account {
  id: string;
  currency: string;
  balance: Money;
  live_calls: number;
}

/** One entry of `GET /v1/calls`; the cause is null while the call lives, the cost while it is being settled. */
export interface CallRecord {
  id: string;
  state: 'live' | 'settling' | 'ended';
  destination: string;
  created_at: string;
  answered_at: string | null;
  ended_at: string | null;
  seconds: number;
  cost: Money | null;
  cause: number | null;
  cause_name: string | null;
}

/** One entry of `GET /v1/phonebook`: a number the operator offers to try. */
export interface PhonebookEntry {
  number: string;
  label: string;
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

/** Top-ups without a person, part of `GET /v1/top-ups` and the body and answer of `PUT /v1/auto-top-up`. */
export interface AutoTopUp {
  enabled: boolean;
  threshold: Money;
  amount: Money;
  has_card: boolean;
  /** Why the gateway switched it off; empty where it did not. */
  off_reason: string;
}

/** `GET /v1/top-ups`: what can be topped up here. */
export interface TopUpOffer {
  enabled: boolean;
  currency: string;
  amounts: Money[];
  minimum: Money;
  maximum: Money;
  auto: AutoTopUp;
}

export type PaymentState =
  | 'created'
  | 'open'
  | 'processing'
  | 'paid'
  | 'failed'
  | 'expired'
  | 'disputed'
  | 'lost';

/** `POST /v1/top-ups`: a payment, and the page of the payment service where it is made. */
export interface StartedTopUp {
  id: string;
  url: string;
  amount: Money;
  state: PaymentState;
}

/** `GET /v1/top-ups/{id}`. */
export interface Payment {
  id: string;
  state: PaymentState;
  amount: Money;
  /** Empty while there is none. */
  receipt_url: string;
  /** Stripe's code for why the card was declined; empty where it was not. */
  failure: string;
}

/** One entry of `GET /v1/payments`. */
export interface PaymentRecord extends Payment {
  created_at: string;
  /** `checkout`, `saved` for a tap on the saved card, or `auto` for one without a person. */
  kind: string;
  refunded: Money;
}
