/**
 * Calls from a browser to any phone, by a Caller gateway: all that a page may use of the SDK. What is here stays as it
 * is below /sdk/v1; docs/sdk.md says what each is for.
 */

export { Call, MICROPHONE_SILENT } from './call/call';
export { MICROPHONE_LOST, MICROPHONE_MUTED } from './call/microphone';
export type { CallEvents, CallStatus } from './call/call';
export { CallerError } from './call/error';
export type { ErrorCode } from './call/error';
export type { AudioProcessor } from './call/microphone';
export type { SoundChoice } from './call/sound-choice';
export { elapsedSeconds, speaking } from './call/state';
export type { CallState, LineQuality, Phase } from './call/state';
export type { KeptCall } from './call/tab-store';
export { Caller } from './caller';
export type { CallerEvents, CallerOptions } from './caller';
export type { CheckOptions, CheckReport } from './check';
export { Devices } from './devices';
export type { DeviceChoice, Processing } from './devices';
export type { GatewayCode, OwnCode } from './error-words';
export { fetchToken } from './fetch-token';
export type {
  CallToken,
  Ending,
  Lack,
  LegSample,
  MediaToken,
  Money,
  Path,
  Problem,
  Rate,
  Sample,
  SupervisionMode,
} from './wire';
