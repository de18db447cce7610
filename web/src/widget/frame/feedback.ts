/**
 * Asks a visitor how an answered call was: one of five stars, and nothing more. Loaded once a call is over, with the
 * phone's words for it, for no call may wait for that.
 */

import { sendFeedback } from '../../call-feedback';
import { t } from '../../i18n';
import { beside } from '../../../../gateway/words/en/phone/beside';
import { addWords, chooseLanguage } from '../../i18n/language';
import { button, h } from './dom';

const STARS = [1, 2, 3, 4, 5] as const;

/** Return the question, in the language of the document; `send` is called with the stars until it goes through. */
export async function feedback(send: (stars: number) => Promise<unknown>): Promise<HTMLElement> {
  await chooseLanguage([document.documentElement.lang]);
  addWords(beside);
  const told = h('p', { role: 'status', className: 'small muted', tabIndex: -1 });
  let isSending = false;
  const say = async (stars: number): Promise<void> => {
    if (isSending) return;
    isSending = true;
    const isTaken = await sendFeedback(() => send(stars));
    isSending = false;
    told.textContent = t(isTaken ? 'feedbackSent' : 'feedbackFailed');
    if (!isTaken) return;
    if (asked.contains(document.activeElement)) told.focus();
    asked.remove();
  };
  const asked = h(
    'div',
    { role: 'group', 'aria-label': t('feedbackHeading') },
    h('p', { className: 'small' }, t('feedbackHeading')),
    h('div', { className: 'stars' }, ...STARS.map((stars) => star(t(`feedbackStars.${stars}`), () => void say(stars)))),
  );
  return h('div', {}, asked, told);
}

function star(name: string, onclick: () => void): HTMLButtonElement {
  return Object.assign(button('★', onclick), { ariaLabel: name, title: name });
}
