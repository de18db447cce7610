/** The answers of the gateway's REST interface that the phone reads beside those of a call. */

import type { Lack, Money, Problem, Rate } from './sdk/core';

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

/** `GET /v1/key`: whose a key is, and what it may do; an older page meets scopes it does not know. */
export interface KeyAccess {
  account: string;
  scopes: string[];
  /** Whether what is said of calls is kept; absent at an older gateway. */
  takes_feedback?: boolean;
}

export type Flaw = 'audio-latency' | 'choppy-audio' | 'dropped-call' | 'echo' | 'noisy-call';

/** Body of `PUT /v1/calls/{id}/feedback`. */
export interface CallFeedback {
  /** 1 to 5. */
  stars: number;
  flaws: readonly Flaw[];
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
