/**
 * What this tab remembers for a while: a call that a reloaded page can return to, and that WebRTC does not get through.
 * It goes with the tab; where storage is blocked, nothing is remembered. A page in other people's pages, which owes their
 * visitors to keep nothing, leaves this out.
 */

/** A call as it can be taken up again. */
export interface KeptCall {
  callId: string;
  /** Good once; each `ready` brings the next. */
  token: string;
  mediaUrl: string;
  destination: string;
  /** Whose it is, on a page for accounts: no other account may return to it or end it. Empty on other pages. */
  account: string;
  /** How long the gateway keeps the phone, and when its page was last seen (ms of the wall clock). */
  seconds: number;
  seenAt: number;
}

/** With the account behind it: who comes next with this tab neither sees nor overwrites what another has left. */
const CALL = 'caller-call:';
const BLOCKED = 'caller-webrtc-blocked';

/** A laptop moves to another network within minutes, without the browser's saying so. */
const BLOCKED_MS = 600_000;

/** Keep the call for a page that is loaded again. */
export function keepCall(call: KeptCall): void {
  write(CALL + call.account, JSON.stringify(call));
}

/** Forget the call of this account, or of a page without accounts. */
export function dropCall(account: string): void {
  write(CALL + account);
}

/**
 * Return the call that the page before this one left, if the gateway still keeps it: this account's, or where none is
 * named that of a page without accounts.
 */
export function keptCall(nowMs: number, account = ''): KeptCall | undefined {
  try {
    const call = JSON.parse(read(CALL + account) ?? 'null') as KeptCall | null;
    return call && secondsLeft(call, nowMs) > 0 ? call : undefined;
  } catch {
    return undefined;
  }
}

/** Return how long the gateway still keeps the call, in whole seconds. */
export function secondsLeft({ seconds, seenAt }: KeptCall, nowMs: number): number {
  return Math.max(0, Math.ceil(seconds - (nowMs - seenAt) / 1000));
}

/** Note whether WebRTC fails on this network. */
export function setBlocked(isBlocked: boolean): void {
  write(BLOCKED, isBlocked && String(Date.now()));
}

/** Return whether WebRTC failed here a short time ago. */
export function isBlocked(): boolean {
  return Date.now() - Number(read(BLOCKED)) < BLOCKED_MS;
}

/** What a line has of it. */
export const tabStore = { keepCall, dropCall, setBlocked, isBlocked };
export type TabStore = typeof tabStore;

function read(name: string): string | null | undefined {
  return tried((storage) => storage.getItem(name));
}

function write(name: string, value?: string | false): void {
  tried((storage) => (value ? storage.setItem(name, value) : storage.removeItem(name)));
}

/** Do it with the tab's storage, unless that is blocked. */
function tried<T>(act: (storage: Storage) => T): T | undefined {
  try {
    return act(sessionStorage);
  } catch {
    return undefined;
  }
}
