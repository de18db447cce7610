/**
 * The service worker of an installed phone: where the network is away, it says so in place of the browser. It carries
 * that page itself. It keeps nothing, looks at no other page's requests, and changes no answer.
 */

import { languages } from 'all-languages:../../../gateway/words/*/offline';

/** Of a ServiceWorkerGlobalScope, what is used here: the types of pages and of workers exclude each other. */
interface Scope {
  readonly registration: { scope: string; navigationPreload?: { enable(): Promise<void> } };
  readonly navigator: { languages: readonly string[] };
  addEventListener(type: 'activate', listener: (event: { waitUntil(done?: Promise<unknown>): void }) => void): void;
  addEventListener(type: 'fetch', listener: (event: Navigation) => void): void;
}

interface Navigation {
  readonly request: Request;
  readonly preloadResponse?: Promise<Response | undefined>;
  respondWith(response: Promise<Response>): void;
}

const worker = self as unknown as Scope;

const STYLE = `:root{color-scheme:light dark}
body{margin:0}main{display:grid;place-content:center;justify-items:center;gap:16px;min-height:90vh;padding:0 16px;
font:1rem/1.5 system-ui,sans-serif;text-align:center}
h1,p{margin:0}h1{font-size:1.5rem}p{max-width:28rem}
button{min-height:48px;padding:8px 20px;border:1px solid;border-radius:14px;background:none;color:inherit;font:inherit}
:focus-visible{outline:3px solid;outline-offset:2px}`;

const SCRIPT = `onclick=({target})=>target.type&&location.reload();ononline=()=>location.reload()`;

worker.addEventListener('activate', (event) => {
  // So that starting this worker delays no page (Service Workers, 3.2.6).
  event.waitUntil(worker.registration.navigationPreload?.enable());
});

worker.addEventListener('fetch', (event) => {
  const { mode, method, url } = event.request;
  const [path] = url.split(/[?#]/);
  if (mode === 'navigate' && method === 'GET' && path === worker.registration.scope) event.respondWith(opened(event));
});

async function opened({ request, preloadResponse }: Navigation): Promise<Response> {
  try {
    return (await preloadResponse) ?? (await fetch(request));
  } catch {
    return offlinePage();
  }
}

function offlinePage(): Response {
  const language = worker.navigator.languages.map((tag) => tag.split('-')[0]).find((code) => code in languages) ?? 'en';
  const { title, text, again } = languages[language];
  const nonce = crypto.randomUUID();
  const html = `<!doctype html><html lang="${language}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title>
<style nonce="${nonce}">${STYLE}</style>
<main><h1>${title}</h1><p>${text}</p><button type="button">${again}</button></main><script nonce="${nonce}">${SCRIPT}</script>`;
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; frame-ancestors 'none'`;
  const headers = { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy };
  return new Response(html, { status: 503, headers });
}
