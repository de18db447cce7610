/** Every word of supervision on the live page, in English. */

import type { SupervisionMode } from '../sdk/core';
import { spoken } from './language';

export const english = {
  title: 'Supervise',
  offer: 'Hear both sides as they speak. Nobody hears you: your microphone stays off until you choose to speak.',
  notYet: 'You can listen once the call is answered.',
  whyTitle: (number: string) => `Listen to the call to ${number}?`,
  whyText: 'You hear both sides. Unless the account has said why not, a tone and a note tell them that you are there.',
  whyHelp: 'It is kept in the account’s audit log, with what you do in the call. Its holder can read it.',

  listen: 'Listen',
  back: 'Come back',
  again: 'Try again',
  cancel: 'Cancel',
  leave: 'Leave',
  joining: 'Connecting…',
  left: 'You have left. The call goes on.',

  choose: 'What you do',
  modes: {
    listen: ['Listen', 'Nobody hears you.'],
    whisper: ['Whisper', 'Only the caller hears you.'],
    barge: ['Barge in', 'Caller and phone hear you.'],
    'take-over': ['Take over', 'You speak with the phone in the caller’s place.'],
  } satisfies Record<SupervisionMode, readonly [string, string]>,
  notAllowed: 'Not allowed by the call’s account.',
  allowsOwn: 'What supervisors may do is set for your account under',
  allowsLink: 'Account → Supervision',
  allowsAny: 'Its holder can allow more under Account → Supervision; for the account of a program an operator can, by the API.',
  hint: 'Arrow keys move, the space bar chooses.',
  opening: 'If the browser asks, allow it to use the microphone.',

  hears: {
    listen: 'Nobody hears you. Your microphone is off.',
    whisper: 'The caller hears you now. The phone does not.',
    barge: 'The caller and the phone hear you now.',
    'take-over': 'The phone hears you now, in the caller’s place. The caller neither hears nor is heard.',
  } satisfies Record<SupervisionMode, string>,
  announced: 'A tone tells both sides that you are there, and a note the caller.',
  silent: 'Nobody is told that you are there: the account has said why.',
  heard: 'Both sides',
  own: 'You',

  failed: ['That did not work.', 'Try again.'] satisfies readonly [string, string],
  /** What has gone wrong, and what to do, by the codes of the gateway and of the SDK. */
  troubles: {
    supervision_refused: ['The account of this call does not let you supervise it.', ''],
    supervision_changed: ['You would be announced from now on.', 'Come back if that is right.'],
    already_supervised: ['Somebody else supervises this call.', 'Wait until they have left, then try again.'],
    call_ended: ['The call has ended.', ''],
    call_not_found: ['The call has ended, or is not answered any more.', ''],
    call_not_answered: ['The call is not answered yet.', 'Try again once it is.'],
    node_silent: ['The node that has this call says nothing.', 'Look at it under Nodes, or ask the operator; then try again.'],
    gateway_full: ['As many calls are supervised as the node of this one can take.', 'Try again once another supervisor has left.'],
    scope_missing: ['This API key may not supervise calls.', 'Use a key with the scope “supervise”.'],
    bad_token: ['The permission to listen was not used in time.', 'Try again.'],
    token_refused: ['The gateway did not let you in.', 'Try again.'],
    unauthorized: ['You are not signed in any more.', 'Sign in, then try again.'],
    store_unavailable: ['The gateway cannot note who supervises just now, and lets nobody in without.', 'Try again in a moment.'],
    unchanged: ['The gateway has not changed what you do.', 'Try again in a moment.'],
    connection_lost: ['The connection is lost. You hear nothing, and nobody hears you.', 'The call goes on without you.'],
    gateway_unreachable: ['The gateway cannot be reached.', 'Try again.'],
    gateway_busy: ['The gateway is being restarted.', 'Try again in a moment.'],
    gateway_failed: ['Something failed at the gateway.', 'Try again.'],
    offline: ['You are offline.', 'Check your connection, then try again.'],
    audio_blocked: ['The browser did not let the sound start.', 'Try again; check that this page may play sound.'],
    unsupported_browser: ['This browser cannot play calls.', 'Use a current Chrome, Edge, Firefox or Safari.'],
    insecure_page: ['Browsers play calls on secure pages only.', 'Open this page by https://.'],
    microphone_refused: ['The browser was not allowed to use the microphone. You go on listening.', 'Allow it by the symbol in the address bar, then choose again.'],
    microphone_missing: ['No microphone was found. You go on listening.', 'Connect a microphone or headset, then choose again.'],
    microphone_busy: ['The microphone could not be opened. You go on listening.', 'Close other programs that use it, then choose again.'],
    microphone_timeout: ['The question about the microphone was not answered. You go on listening.', 'Choose again, and “Allow” when the browser asks.'],
    microphone_lost: ['The microphone is gone. You go on listening.', 'Connect one, then choose again.'],
  } satisfies Record<string, readonly [string, string]>,
};

export const words = spoken('supervision', english);
