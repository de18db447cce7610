/**
 * One supervision of a call from this page: the sound of both sides, and the supervisor's own voice where they choose to
 * speak. For the gateway's own pages; knows no markup, and not how a grant is got.
 */

import { AudioGraph } from './call/audio-graph';
import { within } from './call/deadline';
import { errorOfClose } from './call/error';
import { Microphone } from './call/microphone';
import { mediaAddress, startConnection } from './call/socket-thread';
import type { Connection } from './call/socket-thread';
import { WIRE_VERSION } from './wire';
import type { GatewayMessage, MediaToken, Problem, SupervisionMode } from './wire';
import { JOINING, chosen, confirmed, entered, left, speaks, troubleOf, unchanged } from './call/supervision-state';
import type { Supervision, Trouble } from './call/supervision-state';

export { JOINING, MODES, OUT, allows, left, speaks, troubleOf } from './call/supervision-state';
export type { Supervision, Trouble } from './call/supervision-state';

const READY_MS = 10_000;

/** What the page is notified of. */
export interface SupervisingEvents {
  changed: (state: Supervision) => void;
  /** Linear levels of both sides together and of the own microphone, 0 to 1, ten times a second. */
  levels: (heard: number, own: number) => void;
}

export class Supervising {
  #state = JOINING;
  readonly #graph: AudioGraph;
  #connection: Connection | undefined;
  #microphone: Microphone | undefined;
  /** The microphone is being opened. */
  #isOpening = false;
  #own = 0;
  #problem: Partial<Problem> | undefined;
  #ready: () => void = () => {};
  #isOver = false;

  /** Must run inside the click: browsers let sound start only there. Throws CallerError where they never do. */
  constructor(private readonly events: SupervisingEvents) {
    this.#graph = new AudioGraph({
      capture: ({ rms }) => (this.#own = rms),
      playback: ({ rms }) => this.events.levels(rms, speaks(this.#state.mode) ? this.#own : 0),
    });
    // Nothing of the microphone leaves before somebody is to hear it.
    this.#graph.carry(true, false, false);
    document.addEventListener('visibilitychange', this.#revive);
  }

  /** Get a grant, by a function that may throw CallerError, and listen with it. Failures are reported as trouble. */
  async join(getGrant: () => Promise<MediaToken>): Promise<void> {
    this.events.changed(this.#state);
    try {
      const [ports, { media_url: url, token }] = await Promise.all([this.#graph.load(), getGrant()]);
      if (this.#isOver) return;
      await this.#graph.start();
      if (this.#isOver) return;
      this.#graph.applySpeaker();
      const ready = new Promise<void>((resolve) => (this.#ready = resolve));
      this.#connection = startConnection(
        (news) => {
          if (news.kind === 'message') this.#take(news.message);
          else if (news.kind === 'closed') this.#closed(news.code);
        },
        (failure) => this.#end(troubleOf(failure)),
      );
      this.#connection.post({ kind: 'attach', ...ports });
      const first = { type: 'start', version: WIRE_VERSION, token } as const;
      this.#connection.post({ kind: 'open', url: mediaAddress(url, location.origin), first });
      await within(READY_MS, ready);
    } catch (error) {
      this.#end(troubleOf(error));
    }
  }

  /** Choose who hears the supervisor, if anyone; asks for the microphone if it is needed. */
  async choose(mode: SupervisionMode): Promise<void> {
    this.#set(chosen(this.#state, mode));
    if (speaks(mode)) {
      // A choice made while the browser asks is carried out by the pending request.
      if (this.#isOpening || !(await this.#open())) return;
    }
    // Also where it holds already: something else may be on its way.
    if (!this.#isOver) this.#connection?.post({ kind: 'send', message: { type: 'supervise', mode: this.#state.wanted } });
  }

  /** Leave the call; it goes on. */
  leave(): void {
    this.#end();
  }

  /** Return whether there is a microphone to speak by. */
  async #open(): Promise<boolean> {
    if (this.#microphone) return true;
    const microphone = new Microphone((stream) => this.#graph.attach(stream), (_, failure) => failure && this.#lostMicrophone());
    this.#microphone = microphone;
    this.#isOpening = true;
    try {
      await microphone.open();
    } catch (error) {
      this.#isOpening = false;
      this.#microphone = undefined;
      // There is nothing to report to somebody who has gone back to listening.
      if (!this.#isOver && speaks(this.#state.wanted)) this.#set(unchanged(this.#state, troubleOf(error)));
      return false;
    }
    this.#isOpening = false;
    this.#settle();
    return this.#microphone !== undefined;
  }

  #lostMicrophone(): void {
    this.#set(unchanged({ ...this.#state, mode: 'listen' }, { code: 'microphone_lost', title: '', action: '' }));
    this.#connection?.post({ kind: 'send', message: { type: 'supervise', mode: 'listen' } });
  }

  #take(message: GatewayMessage): void {
    this.#problem = undefined;
    if (message.type === 'supervision-ready') {
      this.#ready();
      this.#set(entered(message));
    } else if (message.type === 'supervise') {
      this.#set(confirmed(this.#state, message.mode, this.#isOpening));
    } else if (message.type === 'error') {
      this.#problem = { code: message.code, detail: message.message, action: message.action };
    }
  }

  #closed(code: number): void {
    this.#end(troubleOf(errorOfClose(code === 1000 ? 1006 : code, this.#problem)));
  }

  #set(state: Supervision): void {
    this.#state = state;
    this.#settle();
    this.events.changed(state);
  }

  /** Send what the microphone says while it is heard, and keep it no longer than it is wanted. */
  #settle(): void {
    const { mode, wanted } = this.#state;
    this.#graph.carry(true, false, speaks(mode) && this.#microphone !== undefined);
    if (this.#isOpening || speaks(mode) || speaks(wanted)) return;
    this.#microphone?.close();
    this.#microphone = undefined;
  }

  #end(trouble?: Trouble): void {
    if (this.#isOver) return;
    this.#isOver = true;
    document.removeEventListener('visibilitychange', this.#revive);
    // Lets `join` settle if it still waits.
    this.#ready();
    this.#microphone?.close();
    this.#connection?.close();
    this.#graph.close();
    this.events.changed(left(this.#state, trouble));
  }

  readonly #revive = async (): Promise<void> => {
    if (document.visibilityState !== 'visible') return;
    try {
      const ports = await this.#graph.revive();
      if (ports) this.#connection?.post({ kind: 'attach', ...ports });
    } catch (error) {
      this.#end(troubleOf(error));
    }
  };
}
