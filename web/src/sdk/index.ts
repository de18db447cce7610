/**
 * Calls from a browser to any phone, by a Caller gateway: all that a page may use of the SDK. `Caller` is where to
 * begin; what else there is helps to draw a call.
 */

export { endKept } from './call/end-kept';
export type { SoundChoice } from './call/sound-choice';
export { Caller } from './caller';
export type { CallerEvents, CallerOptions } from './caller';
export { checkLine } from './check';
export type { CheckOptions, CheckReport } from './check';
export * from './core';
export { Devices } from './devices';
export type { DeviceChoice, Processing } from './devices';
export { fetchToken } from './fetch-token';
