/** The gateway's REST interface for what is shown of an account. Apart from api.ts, for calls need none of it. */

import type { Account, CallRecord, PhonebookEntry, TopUpOffer } from './answers';
import type { Api } from './api';

/** Read the account. Throws CallerError. */
export function account(api: Api): Promise<Account> {
  return api.json('v1/account');
}

/** Read the latest calls, newest first. Throws CallerError. */
export async function calls(api: Api, limit: number): Promise<CallRecord[]> {
  return (await api.json<{ calls: CallRecord[] }>(`v1/calls?limit=${limit}`)).calls;
}

/** Read the numbers the operator offers to try; none where there is no phonebook. */
export async function phonebook(api: Api): Promise<PhonebookEntry[]> {
  try {
    return (await api.json<{ entries: PhonebookEntry[] }>('v1/phonebook')).entries;
  } catch {
    return [];
  }
}

/** Read what can be topped up; undefined where nothing can. */
export async function topUpOffer(api: Api): Promise<TopUpOffer | undefined> {
  try {
    const offer = await api.json<TopUpOffer>('v1/top-ups');
    return offer.enabled ? offer : undefined;
  } catch {
    return undefined;
  }
}
