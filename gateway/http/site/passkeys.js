// Lets passkeys fill the forms of our pages (W3C WebAuthn Level 3). The pages work without it:
// what needs it is hidden, or says so. It stores nothing, and contacts this site only.

'use strict';

// A challenge is valid for five minutes; an older one would be refused.
const RENEW_MS = 4 * 60 * 1000;

// One request at a time: a browser refuses a second one, and a person who signs in otherwise must
// not be asked for a passkey afterwards.
let pending = new AbortController();
let isPressed = false;

function stop() {
  pending.abort();
  pending = new AbortController();
  return pending.signal;
}

function bytes(text) {
  const plain = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(plain, (each) => each.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

// By hand, because `toJSON` and its counterparts came to browsers years after passkeys.
function readable(credential) {
  const response = { clientDataJSON: text(credential.response.clientDataJSON) };
  for (const name of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  const { id, type } = credential;
  return JSON.stringify({ id, rawId: text(credential.rawId), type, response });
}

async function challenge(form, signal) {
  // The account of this page: someone else may have signed in with the same browser since.
  const owner = form.elements.owner?.value;
  const body = owner === undefined ? null : new URLSearchParams({ owner });
  const reply = await fetch(form.dataset.options, { method: 'POST', body, signal });
  if (reply.redirected) {
    // To the step-up page.
    location.assign(reply.url);
    return null;
  }
  if (!reply.ok) throw new Error('no challenge');
  const { ceremony, options } = await reply.json();
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const each of options.excludeCredentials ?? []) each.id = bytes(each.id);
  return { ceremony, publicKey: options };
}

async function ask(form, mediation) {
  const signal = stop();
  const asked = await challenge(form, signal);
  if (asked === null) return;
  const options = { publicKey: asked.publicKey, signal };
  const credential =
    form.dataset.passkey === 'create'
      ? await navigator.credentials.create(options)
      : await navigator.credentials.get(mediation ? { ...options, mediation } : options);
  if (credential === null) return;
  form.elements.ceremony.value = asked.ceremony;
  form.elements.answer.value = readable(credential);
  form.submit();
}

function say(form, words) {
  const status = form.querySelector('[role=status]');
  status.textContent = words;
  status.hidden = false;
}

async function press(form) {
  isPressed = true;
  try {
    await ask(form);
  } catch (error) {
    if (error.name === 'AbortError') return;
    // Someone who has no passkey cannot be told from someone who does not want to use one.
    const known = { InvalidStateError: form.dataset.known, NotAllowedError: form.dataset.nothing };
    say(form, known[error.name] ?? form.dataset.failed);
  } finally {
    isPressed = false;
  }
}

// Offers passkeys where the browser fills in addresses. Failures are silent, because no one asked
// for it.
async function autofill(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const begin = () => ask(form, 'conditional').catch(() => {});
  begin();
  setInterval(() => {
    if (document.visibilityState === 'visible' && !isPressed) begin();
  }, RENEW_MS);
}

// A passkey belongs to a host, which an IP address is not.
function isAtHome(form) {
  const { rp } = form.dataset;
  return location.hostname === rp || location.hostname.endsWith(`.${rp}`);
}

function show(selector, isShown) {
  for (const each of document.querySelectorAll(selector)) each.hidden = !isShown;
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const isHome = isAtHome(form);
  const works = isHome && window.isSecureContext && 'PublicKeyCredential' in window;
  show('[data-elsewhere]', !isHome);
  show('[data-without-script]', isHome && !works);
  if (!works) continue;
  form.hidden = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    press(form);
  });
  if ('autofill' in form.dataset) autofill(form);
}

// A form that is sent without a passkey: a pending request must not pop up meanwhile.
document.addEventListener('submit', (event) => {
  if (!('passkey' in event.target.dataset)) stop();
});
