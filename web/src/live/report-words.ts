/** Every word of what operators see of refused calls and of credit, in English. */

import { spoken } from './language';

export const english = {
  loading: 'Loading…',
  asOf: (time: string) => `As of ${time}; looked at again every 15 seconds.`,
  failed: (why: string) => `This could not be loaded. ${why} It is tried again every 15 seconds.`,
  unreachable: 'The gateway cannot be reached.',
  shown: (shown: string, total: string) => `${shown} of ${total} accounts are listed.`,
  account: 'Account',

  rules: 'Refused in the last 24 hours, by rule',
  rulesCaption: 'Rules that refused calls, those that refused most first',
  rule: 'Rule',
  refused: 'Refused',
  accounts: 'Accounts',
  byHour: 'By hour',
  hourly: (rule: string, counts: string) => `${rule}, refused by hour, the oldest first: ${counts}`,
  noRefusals: 'No call was refused in the last 24 hours.',
  countedRules: 'Counted once a minute. Calls that were refused for want of credit or of lines are not among them.',
  ruleNames: {
    premium: 'Premium numbers',
    'high-risk': 'High-risk numbers',
    countries: 'Closed countries',
    'new-card': 'New cards',
    velocity: 'Too many calls',
    'short-calls': 'Too many short calls',
  },

  refusedAccounts: 'Accounts most refused',
  refusedCaption: 'Accounts whose calls were refused in the last 24 hours, most refused first',
  byRule: 'By rule',
  lastHour: 'Last in the hour from',

  frozen: 'Frozen or locked now',
  frozenCaption: 'Accounts that may place no calls, frozen last first',
  noFrozen: 'No account is frozen or locked.',
  why: 'Why',
  since: 'Since',
  reasons: {
    operator: 'an operator froze it',
    dispute: 'a payment is disputed',
    locked: 'its holder is locked out',
    leaving: 'its holder has asked for its deletion',
    restricted: 'its holder wants their data kept and not used',
  },

  calling: 'Credit of accounts with live calls',
  callingCaption: 'Accounts with live calls, those whose credit lasts least first',
  noCalling: 'No account has a live call.',
  calls: 'Calls',
  perMinute: 'Spend per minute',
  balance: 'Credit',
  lasts: 'Lasts',
  lastsHelp: 'Until the credit is used up, if these calls go on and no other begins. A spending limit may end them before.',
  levels: { fair: 'less than five minutes', poor: 'less than a minute' },

  cutOff: 'Cut off for want of credit in the last 24 hours',
  cutOffCaption: 'Accounts whose calls ended because their credit was used up, those with most such calls first',
  noCutOff: 'No call was cut off for want of credit in the last 24 hours.',
  last: 'Last',
};

export const words = spoken('reports', english);
