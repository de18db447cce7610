/** What the reports of operators say: `GET /v1/admin/fraud` and `/v1/admin/credit`, as docs/api.md has them. */

export interface FraudReport {
  at: string;
  since: string;
  rules: { rule: string; count: number; by_hour: number[]; accounts: number }[];
  accounts: { account_id: string; count: number; rules: Record<string, number>; last_hour: string }[];
  accounts_total: number;
  frozen: { account_id: string; reasons: string[]; since: string }[];
  frozen_total: number;
}

interface Money {
  micros: number;
  currency: string;
}

export interface CreditReport {
  at: string;
  accounts: { account_id: string; calls: number; per_minute: Money; balance: Money; lasts_s: number | null }[];
  accounts_total: number;
  cut_off: { account_id: string; calls: number; last_at: string }[];
  cut_off_total: number;
}
