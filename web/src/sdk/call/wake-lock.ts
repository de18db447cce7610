/** Keeps a phone's screen, and so the call's page, awake. */

/** Hold the wake lock where the browser has one; return what lets go of it. */
export function keepAwake(): () => void {
  let lock: WakeLockSentinel | undefined;
  let done = false;
  const take = async (): Promise<void> => {
    if (done || document.visibilityState !== 'visible') return;
    try {
      lock = await (navigator.wakeLock as WakeLock | undefined)?.request('screen');
      if (done) await lock?.release();
    } catch {
      // Battery saver: the call goes on without it.
    }
  };
  // The browser lets go of the lock by itself when the page is hidden.
  document.addEventListener('visibilitychange', take);
  void take();
  return () => {
    done = true;
    document.removeEventListener('visibilitychange', take);
    void lock?.release();
  };
}
