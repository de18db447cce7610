/** What the payment service's page sends a person back with. */

import type { FollowedPayment } from './payment-progress';

/** What a person did on the payment service's page. */
export type Returned = 'paid' | 'cancelled';

/** Take out of the address what the payment service's page sends a person back with. */
export function takeReturned(): [Returned?, FollowedPayment?] {
  const query = new URLSearchParams(location.search);
  const id = query.get('top-up');
  if (id === null && !query.has('top-up-cancelled')) return [];
  history.replaceState(null, '', location.pathname + location.hash);
  return id === null ? ['cancelled'] : ['paid', { id }];
}
