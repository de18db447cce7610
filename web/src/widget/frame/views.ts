/**
 * What the frame shows: one function for each state, which returns its elements. Draws what it is given and decides
 * nothing; the name of the button and the line that says how it stands are the page's, above.
 */

import { button, h, link } from './dom';
import type { Child } from './dom';
import type { Status } from './embed-api';
import { isLocal, mayTryAgain } from './problem';
import type { Problem } from './problem';
import { clock, next, t } from './words';
import type { Key } from './words';

/** What stands below the name of the button and how it stands. */
export type View = readonly Child[];

/** What a visitor can do, and where the rest of our pages are. */
export interface Actions {
  call: () => void;
  /** Look again whether the button takes calls. */
  again: () => void;
  hangUp: () => void;
  /** This button's page of its own, and its address as a QR code. */
  page: string;
  qr: string;
  /** Whether the frame stands in somebody else's page. */
  isFramed: boolean;
}

/** Draw what a call does and where it goes, before the first one. */
export function ready({ operator }: Status, terms: string, { call }: Actions): View {
  const accepted = h('input', { type: 'checkbox' });
  const needed = h('p', { role: 'alert', className: 'small wrong' });
  const start = (): void => {
    if (!terms || accepted.checked) return call();
    needed.textContent = t('termsNeeded');
    accepted.focus();
  };
  const consent = h('p', { className: 'small muted' }, t('consent'), ' ');
  if (operator.name) consent.append(t('carriedBy', { operator: operator.name }), ' ');
  if (operator.privacy_url) consent.append(link(t('privacy'), operator.privacy_url));
  return [
    h('div', { className: 'mark', 'aria-hidden': true }, handset()),
    terms && h('label', { className: 'small' }, accepted, h('span', {}, ...withLink('terms', terms))),
    terms && needed,
    button(t('call'), start, 'go main'),
    consent,
  ];
}

/** Draw what keeps the visitor from talking, and the ways out. */
export function problem(what: Problem, retryAfterS: number, { again, page, qr, isFramed }: Actions): View {
  const goesElsewhere = isLocal(what) && isFramed;
  const todo = what === 'button_limited' && retryAfterS ? t('waitFor', { time: clock(retryAfterS) }) : next(what);
  return [
    h('p', {}, todo),
    mayTryAgain(what) && button(t('tryAgain'), again, goesElsewhere ? '' : 'go main'),
    goesElsewhere && link(t('elsewhere'), page, 'button go main'),
    isLocal(what) && code(page, qr),
  ];
}

/** Draw the way to another machine. */
function code(page: string, qr: string): HTMLElement {
  const picture = h('img', { src: qr, alt: page, width: 132, height: 132 });
  return h('figure', {}, picture, h('figcaption', { className: 'small muted' }, t('scan')));
}

/** Draw a call that is not answered yet. */
export function waiting(isRinging: boolean, { hangUp }: Actions): View {
  return [
    h('div', { className: 'mark pulse', 'aria-hidden': true }, handset()),
    !isRinging && h('p', { className: 'small muted' }, t('allow')),
    button(t('hangUp'), hangUp, 'stop main'),
  ];
}

/** Draw how a call went, and below that where the visitor is asked how it was. */
export function ended(outcome: Key, seconds: number, todo: string, { call }: Actions, asked?: Child): View {
  return [
    seconds > 0 && h('p', {}, t('lasted', { time: clock(seconds) })),
    todo && h('p', {}, todo),
    // Once the budget is spent another call would be refused; a frame that is opened later asks again.
    outcome !== 'budget' && button(t('callAgain'), call, outcome === 'answered' ? 'main' : 'go main'),
    asked,
  ];
}

/** The handset, 24 units square, in the text's colour. */
function handset(): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS(svg.namespaceURI, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  path.setAttribute('d', 'M5 3h4l2 5-3 2a12 12 0 0 0 6 6l2-3 5 2v4c0 1-1 2-2 2A17 17 0 0 1 3 5c0-1 1-2 2-2z');
  svg.append(path);
  return svg as SVGElement;
}

function withLink(key: 'terms', href: string): (Node | string)[] {
  const [before, after] = t(key, { terms: '\n' }).split('\n');
  return [before, link(t('termsLink'), href), after];
}
