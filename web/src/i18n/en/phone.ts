/** The words that are read until a call stands, in English. The other parts of the table come with what says them. */
export const phone = {
  title: 'Phone',

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
  sound: 'Sound',
} as const;
