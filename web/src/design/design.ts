/**
 * The pages below /design: `/design` shows all specimens, `/design/phone` one of the phone's or of the live page's, and
 * `/design/frame` one of the button's frame, by its name behind the #. A page of its own for each, for what is fixed to
 * a window needs one.
 */

import { chooseLanguage as chooseForPhone } from '../i18n/language';
import { chooseLanguage as chooseForLive } from '../live/language';
import { chooseLanguage as chooseForFrame } from '../widget/frame/words';
import { frameSpecimens } from './frame-specimens';
import { phoneSpecimens } from './phone-specimens';

const languages = [document.documentElement.lang, ...navigator.languages];
await chooseForPhone(languages);
await chooseForLive(languages);
await chooseForFrame(languages);
// The parts of the live page take their words as they are loaded.
const { liveSpecimens } = await import('./live-specimens');

// A specimen shows what it is given: nothing is asked of the gateway, where this browser may have an account.
window.fetch = () => Promise.reject(new Error('A specimen asks for nothing.'));

if (window !== window.parent) stayBeside();

const main = document.querySelector('main') as HTMLElement;
const { specimens: kind } = document.documentElement.dataset;
if (kind === 'phone') await showEach({ ...(await phoneSpecimens()), ...liveSpecimens() });
else if (kind === 'frame') await showEach(frameSpecimens(main));
else {
  list('phone', [...Object.keys(await phoneSpecimens()), ...Object.keys(liveSpecimens())]);
  list('frame', Object.keys(frameSpecimens(main)));
}
document.documentElement.dataset.ready = '';

/** Take away each way to take the focus or scroll: beside all others a specimen would bring the page to it. */
function stayBeside(): void {
  const { toggleAttribute } = Element.prototype;
  HTMLElement.prototype.focus = Element.prototype.scrollIntoView = () => {};
  HTMLDialogElement.prototype.showModal = HTMLDialogElement.prototype.show = function () {
    this.open = true;
  };
  Element.prototype.toggleAttribute = function (name, isThere) {
    return name !== 'autofocus' && toggleAttribute.call(this, name, isThere);
  };
}

/** Show the specimen that the address names, now and whenever it names another. */
async function showEach(specimens: Record<string, () => readonly HTMLElement[]>): Promise<void> {
  const show = (): void => {
    const [first] = Object.keys(specimens);
    const name = decodeURIComponent(location.hash.slice(1)) || first;
    const shown = specimens[name]?.() ?? [];
    if (shown.length) main.replaceChildren(...shown);
    document.documentElement.dataset.shown = name;
  };
  window.addEventListener('hashchange', show);
  show();
}

/** Show each specimen in a frame. */
function list(kind: 'phone' | 'frame', names: readonly string[]): void {
  const section = document.querySelector(`[data-list=${kind}]`) as HTMLElement;
  for (const name of names) {
    const figure = document.createElement('figure');
    const caption = document.createElement('figcaption');
    const frame = document.createElement('iframe');
    caption.textContent = frame.title = name;
    frame.loading = 'lazy';
    frame.src = `/design/${kind}#${encodeURIComponent(name)}`;
    figure.append(caption, frame);
    section.append(figure);
  }
}
