/** What the phone and the live page both say of how calls end or are refused, in English. */

/** Why a call has ended, by its cause (Q.850, and FreeSWITCH's beyond 127). */
export const causes = {
  'cause.1': 'No such number',
  'cause.16': 'Completed',
  'cause.17': 'Busy',
  'cause.18': 'No response',
  'cause.19': 'No answer',
  'cause.21': 'Declined',
  'cause.27': 'Out of service',
  'cause.28': 'Incomplete number',
  'cause.34': 'Lines busy',
  'cause.38': 'Network unreachable',
  'cause.41': 'Failed',
  'cause.42': 'Network overloaded',
  'cause.50': 'Own number not accepted',
  'cause.52': 'Not allowed',
  'cause.58': 'No sound possible',
  'cause.63': 'Limit of the button reached',
  'cause.102': 'Network timeout',
  'cause.111': 'Network not understood',
  'cause.487': 'Cancelled',
  'cause.502': 'Gateway restarted',
  'cause.504': 'Ended by request',
  'cause.602': 'Credit used up',
  'cause.604': 'Sound lost',
  'cause.609': 'Gateway unreachable',
} as const;

/** A language's. */
export type Causes = Record<keyof typeof causes, string>;
