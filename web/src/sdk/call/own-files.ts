/**
 * Loads the two files that lie beside this one, and says why it could not. A bundler knows each by a literal
 * `new URL('./file', import.meta.url)` alone: the names are put in by the build.
 */

import { within } from './deadline';
import { CallerError, unreachable } from './error';

declare const AUDIO_WORKLET_FILE: string;
declare const SOCKET_WORKER_FILE: string;

/** Where this is built for. */
declare const BUILT_FOR: 'page' | 'gateway' | 'package';

const LOAD_MS = 10_000;

/** A violation is reported in its own task, which may come after the failure that it caused. */
const TOLD_MS = 200;

/** How long a blob's address is kept: not every browser has read it by the time the constructor returns. */
const BLOB_MS = 10_000;

/** The classic script that this is part of: such a bundle has no `import.meta.url`. None where there is no page. */
const SCRIPT =
  BUILT_FOR === 'package' ? ((globalThis.document as Document | undefined)?.currentScript as HTMLScriptElement | null)?.src : undefined;

/** Let the context know the worklets. Throws CallerError. */
export async function loadWorklets({ audioWorklet }: AudioContext): Promise<void> {
  const file = BUILT_FOR === 'package' ? workletsOfPackage() : new URL(AUDIO_WORKLET_FILE, import.meta.url);
  try {
    await within(LOAD_MS, audioWorklet.addModule(file));
  } catch {
    throw BUILT_FOR === 'page' ? unreachable() : await whyNot(file);
  }
}

/** Return a new worker for the media socket; it may yet fail to run. Throws where the browser refuses at once. */
export function startWorker(): Worker {
  return BUILT_FOR === 'page'
    ? new Worker(new URL(SOCKET_WORKER_FILE, import.meta.url))
    : BUILT_FOR === 'package'
      ? workerOfPackage()
      : workerOfGateway();
}

function workletsOfPackage(): URL {
  try {
    return new URL(AUDIO_WORKLET_FILE, import.meta.url);
  } catch {
    return new URL(AUDIO_WORKLET_FILE, SCRIPT);
  }
}

function workerOfPackage(): Worker {
  try {
    return new Worker(new URL(SOCKET_WORKER_FILE, import.meta.url), { type: 'module' });
  } catch {
    return new Worker(new URL(SOCKET_WORKER_FILE, SCRIPT), { type: 'module' });
  }
}

/** Pages may start no worker of another origin, but a blob of their own that loads one (HTML 10.2.6.3). */
function workerOfGateway(): Worker {
  const url = new URL(SOCKET_WORKER_FILE, import.meta.url);
  if (url.origin === location.origin) return new Worker(url);
  const own = URL.createObjectURL(new Blob([`importScripts(${JSON.stringify(url.href)})`], { type: 'text/javascript' }));
  window.setTimeout(() => URL.revokeObjectURL(own), BLOB_MS);
  return new Worker(own);
}

/** Return why this file did not come. */
async function whyNot(file: URL): Promise<CallerError> {
  if (file.protocol === 'data:') return new CallerError('policy_refused', { action: IN_A_FILE });
  const violation = await violationBy(file);
  if (violation) return new CallerError('policy_refused', { action: permit(violation, file) });
  if (BUILT_FOR === 'gateway' || !navigator.onLine) return unreachable();
  return new CallerError('file_missing', { action: `Put it where this page looks for it: ${file.href}` });
}

/**
 * Load a file once more, without running it, and return how that violates the page's policy (W3C Content Security Policy
 * Level 3, 5.3), if it does: of worklets Chromium tells the page nothing.
 */
async function violationBy(file: URL): Promise<SecurityPolicyViolationEvent | undefined> {
  let violation: SecurityPolicyViolationEvent | undefined;
  const see = (event: SecurityPolicyViolationEvent): void => {
    if (event.blockedURI === file.href) violation = event;
  };
  document.addEventListener('securitypolicyviolation', see);
  const link = Object.assign(document.createElement('link'), { rel: 'modulepreload', href: file.href });
  await new Promise<void>((resolve) => {
    link.onload = link.onerror = () => window.setTimeout(resolve, TOLD_MS);
    window.setTimeout(resolve, LOAD_MS);
    document.head.append(link);
  });
  link.remove();
  document.removeEventListener('securitypolicyviolation', see);
  return violation;
}

const IN_A_FILE = 'Have the bundler write worklets.js as a file of its own, such as by build.assetsInlineLimit of Vite.';

/** Return what the policy has to say to let this file in. */
function permit({ effectiveDirective, originalPolicy }: SecurityPolicyViolationEvent, { origin }: URL): string {
  const directive = originalPolicy.includes(effectiveDirective) ? effectiveDirective : 'script-src';
  return `Add ${origin === location.origin ? "'self'" : origin} to ${directive} of its Content-Security-Policy.`;
}
