/** The frame during a call: how long, how it sounds, what to do. Draws a call's state, decides nothing. */

import { elapsedSeconds, speaking } from '../../sdk/core';
import type { CallState } from '../../sdk/core';
import { button, h, say } from './dom';
import { clock, t } from './words';
import type { Key } from './words';

/** Quietest level a meter shows, in dBov. */
const FLOOR_DB = -55;

/** The gateway's and the SDK's warnings that a visitor can do something about. */
const WARNINGS: Record<string, Key> = {
  'microphone-lost': 'gone',
  'microphone-muted': 'systemMuted',
  'microphone-silent': 'silent',
  'constant-audio-input-level': 'silent',
  'no-audio-from-browser': 'notHeard',
  'no-audio-from-phone': 'noPhone',
};

/** Return how it is said that a call ends: where it is only too long, the next one may follow. */
export function endsIn(warning: CallState['endWarning']): Key {
  return warning?.cause === 'duration' ? 'endsIn.duration' : 'endsIn';
}

export interface InCallActions {
  mute: (isMuted: boolean) => void;
  press: (key: string) => void;
  /** 0 to 1. */
  volume: (volume: number) => void;
  hangUp: () => void;
}

export class InCall {
  readonly nodes: Node[];
  readonly #time = h('p', { role: 'timer', className: 'time' });
  readonly #ending = h('p', { className: 'alert', hidden: true });
  readonly #warning = h('p', { className: 'alert small', role: 'status' });
  readonly #supervised = h('p', { className: 'note small', role: 'status' });
  readonly #line = h('p', { className: 'small muted' });
  readonly #sent = h('p', { className: 'small muted' });
  readonly #mute: HTMLButtonElement;
  readonly #you = meter(t('you'));
  readonly #them = meter(t('them'));
  #state: CallState;
  #warned: CallState['endWarning'];
  #warnedEndsAtMs = 0;

  constructor(state: CallState, actions: InCallActions) {
    this.#state = state;
    this.#mute = button(t('mute'), () => actions.mute(!this.#state.muted));
    const pad = h('div', { className: 'pad', role: 'group', ariaLabel: t('keypad'), hidden: true });
    pad.append(...[...'123456789*0#'].map((key) => {
      const made = button(key, () => actions.press(key));
      made.ariaLabel = t('key', { key });
      return made;
    }), this.#sent);
    const keys = button(t('keypad'), () => {
      pad.hidden = !pad.hidden;
      keys.ariaExpanded = String(!pad.hidden);
    });
    keys.ariaExpanded = 'false';
    const volume = h('input', { type: 'range', max: '1', step: '0.05', value: '1', ariaLabel: t('volume') });
    volume.oninput = () => actions.volume(volume.valueAsNumber);
    const loudness = canSetVolume() ? [h('span', { ariaHidden: 'true' }, t('volume')), volume] : [];
    this.nodes = [
      this.#time,
      this.#ending,
      this.#warning,
      this.#supervised,
      h('div', { className: 'meters small' }, ...this.#you.nodes, ...this.#them.nodes, ...loudness),
      this.#line,
      h('div', { className: 'row' }, this.#mute, keys),
      // Above the pad: within reach also where the window is low.
      button(t('hangUp'), actions.hangUp, 'stop main'),
      pad,
    ];
    this.update(state, performance.now());
  }

  /** Draw what is known now; milliseconds of the monotonic clock. */
  update(state: CallState, nowMs: number): void {
    this.#state = state;
    const { muted, quality, lost, sentDigits, supervised, warnings, cutAtMs, drainedAtMs, endWarning } = state;
    put(this.#time, clock(elapsedSeconds(state, nowMs)));
    this.#mute.ariaPressed = String(muted);
    put(this.#line, lost ? '' : t('line', { quality: t(quality ?? 'unknown') }));
    put(this.#sent, sentDigits ? t('sent', { digits: sentDigits }) : '');
    const name = Object.keys(WARNINGS).find((warning) => warning in warnings);
    put(this.#warning, name && !lost ? t(WARNINGS[name]) : '');
    put(this.#supervised, supervised ? t(`supervised.${supervised}`) : '');
    // Counted down here: visitors are not told each second how much is left.
    if (endWarning && endWarning !== this.#warned) this.#warnedEndsAtMs = nowMs + 1000 * endWarning.secondsLeft;
    this.#warned = endWarning;
    const sooner = (lost ? cutAtMs : undefined) ?? drainedAtMs;
    const endsAtMs = sooner ?? (endWarning && this.#warnedEndsAtMs);
    const left = endsAtMs === undefined ? undefined : Math.max(0, Math.ceil((endsAtMs - nowMs) / 1000));
    put(this.#ending, left === undefined ? '' : t(endsIn(sooner ? undefined : endWarning), { time: clock(left) }));
  }

  /** Move the meters; 0 to 1, linear. */
  level(input: number, output: number): void {
    const { browser, carrier } = speaking(this.#state);
    this.#you.show(this.#state.muted ? 0 : input, browser);
    this.#them.show(output, carrier);
  }
}

/** iOS leaves loudness to the keys of the device, and a page's own setting without effect. */
function canSetVolume(): boolean {
  const audio = new Audio();
  audio.volume = 0.5;
  return audio.volume === 0.5;
}

/** What is empty takes no room. */
function put(element: HTMLElement, text: string): void {
  say(element, text);
  element.hidden = !text;
}

function meter(who: string): { nodes: Node[]; show: (rms: number, isSpeaking: boolean) => void } {
  const bar = h('i');
  const name = h('span', {}, who);
  const show = (rms: number, isSpeaking: boolean): void => {
    const db = 20 * Math.log10(Math.max(rms, 1e-6));
    bar.style.transform = `scaleX(${Math.max(0, 1 - db / FLOOR_DB).toFixed(2)})`;
    name.classList.toggle('speaking', isSpeaking);
  };
  return { nodes: [name, h('span', { className: 'bar', 'aria-hidden': true }, bar)], show };
}
