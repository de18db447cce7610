/**
 * What the gateway's own pages need for calls and no more: each draws everything itself, has words of its own, and loads
 * the rest of the SDK when it is wanted. Not for others: it changes with those pages.
 */

export { Call } from './call/call';
export type { CallEvents, CallSetup, CallStatus } from './call/call';
export { CallerError, asCallerError, isUnreachable, unreachable } from './call/error';
export type { ErrorCode } from './call/error';
export type { AudioProcessor } from './call/microphone';
export { dialling, elapsedSeconds, ended, received, speaking } from './call/state';
export type { CallState, LineQuality, Phase } from './call/state';
export { dropCall, keptCall, secondsLeft, tabStore } from './call/tab-store';
export type { KeptCall } from './call/tab-store';
export type { GatewayCode, OwnCode } from './error-words';
export { refusalOf } from './refusal';
export type * from './wire';
