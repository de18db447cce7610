/** The gateway's REST interface for payments. Apart from api.ts, for calls need none of it. */

import type { AutoTopUp, Payment, PaymentRecord, StartedTopUp } from './answers';
import type { Api } from './api';

/** For what the gateway asks the payment service, to which it gives 20 s. */
const TIMEOUT_MS = 25_000;

/** Start a payment; the same key again is the same payment. `amount` as in 25.00. Throws CallerError. */
export function startTopUp(api: Api, amount: string, saveCard: boolean, idempotencyKey: string): Promise<StartedTopUp> {
  const headers = { 'Idempotency-Key': idempotencyKey };
  return api.json('v1/top-ups', { amount, save_card: saveCard }, { headers, timeoutMs: TIMEOUT_MS });
}

/** Charge the saved card; the same key again charges nothing more. `amount` as in 25.00. Throws CallerError. */
export function chargeSavedCard(api: Api, amount: string, idempotencyKey: string): Promise<Payment> {
  const headers = { 'Idempotency-Key': idempotencyKey };
  return api.json('v1/saved-card-charges', { amount }, { headers, timeoutMs: TIMEOUT_MS });
}

/** Return a key that cannot be guessed; crypto.randomUUID is missing on pages without TLS. */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('-');
}

/** Read how a payment stands. Throws CallerError. */
export function topUp(api: Api, id: string): Promise<Payment> {
  return api.json(`v1/top-ups/${encodeURIComponent(id)}`, undefined, { timeoutMs: TIMEOUT_MS });
}

/** Read the latest payments, newest first. Throws CallerError. */
export async function payments(api: Api, limit: number): Promise<PaymentRecord[]> {
  return (await api.json<{ payments: PaymentRecord[] }>(`v1/payments?limit=${limit}`)).payments;
}

/** Switch top-ups without a person; amounts as in 25.00. Throws CallerError. */
export function setAutoTopUp(api: Api, enabled: boolean, threshold: string, amount: string): Promise<AutoTopUp> {
  return api.json('v1/auto-top-up', { enabled, threshold, amount }, { method: 'PUT' });
}
