/** Every word of what only operators see on the live page, in English. */

import { spoken } from './language';

export const english = {
  alarms: 'Alarms',
  noAlarms: 'No alarm stands',
  newAlarm: (titles: string) => `New alarm: ${titles}`,
  alarmStates: { raised: '▲ raised', acknowledged: '◆ acknowledged', silenced: '◌ silenced' },
  since: (time: string, age: string) => `since ${time}, ${age}`,
  until: (time: string) => `until ${time}`,
  by: (name: string) => `by ${name}`,
  acknowledge: 'I am at it',
  acknowledgeTitle: 'Are you at it?',
  acknowledgeHelp: 'All operators see who is at it, and why. It is not told again while it lasts.',
  acknowledged: 'It is shown that you are at it.',
  silence: 'Silence',
  silenceTitle: 'Silence this alarm?',
  silenceHelp: 'All operators see who silenced it, and why. Nobody is told when it begins or ends.',
  silenceFor: 'For',
  minutes: { 15: '15 minutes', 60: '1 hour', 480: '8 hours', 1440: '1 day' },
  silenced: 'The alarm is silenced.',
  takeBack: 'Take back',
  takenBack: 'What was said of the alarm is taken back.',

  drain: 'Drain',
  undrain: 'Take calls again',
  drained: (node: string) => `${node} takes no new calls.`,
  undrained: (node: string) => `${node} takes new calls again.`,
  nodeColumns: { node: 'Node', load: 'Calls', lag: 'Lag', release: 'Release', started: 'Started', state: 'State', act: 'Act' },
  noNodes: 'No node says anything. Is the gateway’s part that holds calls running?',
  nodeLost: 'lost',
  nodeDraining: 'draining',
  nodeTaking: 'takes calls',
  loadOf: (calls: string, most: string) => `${calls} of ${most}`,
  warnings: 'Warnings',
  noWarnings: 'No warnings since the gateway was started.',
  warningLevels: { warning: '▲ warning', error: '■ error' },
  ofCall: 'its call',
};

export const words = spoken('operators', english);
