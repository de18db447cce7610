/** What only one call's page says, in English. */

import { spoken } from './language';

export const english = {
  callTo: (number: string) => `Call to ${number}`,
  lostMeaning: 'Its node has said nothing for five seconds; the records say what became of it.',
  back: 'All calls',
  callGone: 'This call is not among the live calls. It may have ended more than a minute ago.',
  record: 'Its record',
  events: 'What happened',
  created: 'Begun',
  rang: 'Ringing',
  answered: 'Answered',
  carrierCode: (code: number) => `the carrier’s code ${code}`,
  endedBy: { caller: 'Ended by the caller', callee: 'Ended by the phone', gateway: 'Ended by the gateway', '': 'Ended' },
  after: (time: string) => `after ${time}`,
  id: 'Id',
  account: 'Account',
  key: 'API key',
  origin: 'From the page',
  price: 'Price per minute',
  charts: {
    mos: 'Quality (MOS, 1 to 4.4)',
    delays: 'Delays (ms)',
    loss: 'Packet loss (%)',
    levels: 'Sound level (dBov)',
    cost: 'Cost',
  },
  series: {
    mos: 'MOS',
    rtt_ms: 'Round trip',
    jitter_ms: 'Jitter',
    backlog_ms: 'Backlog',
    loss_percent: 'Loss',
    caller_dbov: 'Caller',
    phone_dbov: 'Phone',
    cost_micros: 'Cost',
  },
  time: 'Time',
  noSamples: 'What is measured of the call each second is drawn here once it is answered.',
};

export const words = spoken('call', english);
