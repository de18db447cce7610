/**
 * The words that are read until a call stands, in English; what is said later, or beside it, comes with other parts.
 * Another language is one table (see de.ts).
 */

import type { beside } from './en-beside';
import type { keyForm } from './en-key-form';

export const en = {
  title: 'Phone',
  credit: 'Credit',
  forgetKey: 'Forget the API key',
  mayNotCall: 'This API key may not place calls.',

  numberLabel: 'Phone number',
  numberExample: '+1 500 555 1000',
  numberHint: 'With country code, any format',
  numberEmpty: 'Enter a phone number first.',
  willDial: 'Will dial {number}',
  keypad: 'Keypad',
  key: 'Key {key}',
  plus: 'Plus',
  erase: 'Erase last digit',
  call: 'Call',
  hangUp: 'Hang up',
  mute: 'Mute',
  hold: 'Hold',
  notice: 'Your voice goes only to the person you call and is never recorded.',

  idle: 'Ready to call',
  connecting: 'Connecting…',
  allowMicrophone: 'If your browser asks, allow it to use the microphone.',
  ringing: 'Ringing…',
  busy: 'The line is busy',
  live: 'In call',
  ended: 'Call ended',
  reconnecting: 'No connection. Getting it back…',
  testLine: 'Test my line',
  sound: 'Sound',
  'lasts.credit': '{price} · enough for {time}',

  perMinute: '{price}/min',
  connectFee: 'plus {price} per call',
} as const;

export type Key = keyof typeof en | keyof typeof beside | keyof typeof keyForm;
export type Strings = Record<Key, string> & Partial<Record<string, string>>;
