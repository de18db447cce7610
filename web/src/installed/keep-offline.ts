/**
 * Lets an installed phone say by itself that the network is away. Only an installed one: in the browser of anybody else
 * nothing stays.
 */

const WORKER = 'offline.js';

/** Register the worker where the phone is installed, or once it is. */
export function keepOffline(): void {
  const register = (): void => {
    // Refused where storage is blocked: the phone works without it.
    void (navigator.serviceWorker as ServiceWorkerContainer | undefined)?.register(WORKER).catch(() => {});
  };
  if (window.matchMedia('(display-mode: standalone)').matches) register();
  window.addEventListener('appinstalled', register);
}
