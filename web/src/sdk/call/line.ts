/**
 * The line to the gateway: the socket that is always there, WebRTC beside it, which of them carries the audio, and
 * getting back what was lost. Knows neither why there is a line nor who shows it.
 */

import type { AudioPorts } from '../audio/ports';
import type { ClientMessage, FirstMessage, GatewayMessage, MediaToken, Path, Problem, Ready } from '../wire';
import { WIRE_VERSION } from '../wire';
import { CallerError, asCallerError, errorOfClose } from './error';
import type { AudioProcessor } from './microphone';
import { PathChoice } from './path-choice';
import type { PathAction } from './path-choice';
import { ReportSum } from './report';
import type { Heard } from './report';
import { Absence, isKept } from './resumption';
import { mediaAddress, startConnection } from './socket-thread';
import type { Connection } from './socket-thread';
import { Sound } from './sound';
import { followChoice } from './sound-choice';
import type { KeptCall, TabStore } from './tab-store';
import { WebRtc } from './webrtc';

const TICK_MS = 200;
const TICKS_PER_REPORT = 5;

/** How a page wants its lines. */
export interface LineSetup {
  /** Origin on which the gateway is reached; where it is left out, as the token says. */
  origin?: string | undefined;
  audioProcessor?: AudioProcessor | undefined;
  /** What the tab remembers of lines; where it is left out, nothing. */
  memory?: TabStore | undefined;
  /** Whose calls they are, on a page that is shown to accounts; read when a call is kept for a reload. */
  readonly account?: string | undefined;
}

export interface LineEvents {
  message: (message: GatewayMessage) => void;
  /** The audio takes this path now. */
  path: (path: Path) => void;
  /** The socket is lost and being taken up again, or back. */
  away: (isAway: boolean) => void;
  /** Over, without a message that says so; no failure where that is as it should be. */
  ended: (failure?: CallerError) => void;
  /** Linear levels of the microphone and the phone's voice, 0 to 1, ten times a second. */
  level: (microphone: number, phone: number) => void;
  dead: (isDead: boolean) => void;
  /** Why the microphone gives no sound, and what kept it from being opened; or, with nothing, it gives some. */
  lost: (why?: string, failure?: CallerError) => void;
}

/** Where the browser has it (W3C Network Information API); it also tells of each change of speed. */
interface NetworkInformation extends EventTarget {
  type?: string;
}

export class Line {
  /** Whether the phone's voice has to come: see PathChoice. */
  isDue = false;
  readonly sound: Sound;
  readonly #choice = new PathChoice();
  readonly #report = new ReportSum();
  readonly #network = (navigator as Navigator & { connection?: NetworkInformation }).connection;
  #networkType = this.#network?.type;
  readonly #unfollow: () => void;
  #connection: Connection | undefined;
  #mediaUrl = '';
  #kept: KeptCall | undefined;
  #absence: Absence | undefined;
  #problem: Partial<Problem> | undefined;
  /** The phone's voice is held up before the gateway. */
  #isHeldUp = false;
  #isReady = false;
  #isClosed = false;
  #offerId = 0;
  #isOffering = false;
  #isLooking = false;
  #roundTripMs: number | null = null;
  #ticks = 0;
  #ticker = 0;
  #retry = 0;

  /** Must run inside the click: browsers let sound start only there. */
  constructor(
    private readonly events: LineEvents,
    private readonly setup: LineSetup,
  ) {
    this.sound = new Sound({ ...events, changed: () => void this.#look() }, setup.audioProcessor);
    this.#unfollow = followChoice(() => this.sound.applyChoice());
    document.addEventListener('visibilitychange', this.#revive);
    window.addEventListener('online', this.#networkChanged);
    this.#network?.addEventListener('change', this.#networkMayHaveChanged);
  }

  /** Open microphone and sound. Throws CallerError. */
  async open(): Promise<void> {
    const ports = await this.sound.open();
    if (this.#isClosed) return;
    this.#connection = startConnection((news) => {
      if (news.kind === 'message') this.#receive(news.message);
      else if (news.kind === 'closed') this.#lost(news.code);
      else this.#roundTripMs = news.ms;
    }, this.events.ended);
    this.#attach(ports);
    this.#ticker = window.setInterval(() => void this.#tick(), TICK_MS);
  }

  /** Connect to the gateway with a token of its own. */
  start({ media_url: mediaUrl, token }: MediaToken): void {
    this.#mediaUrl = mediaAddress(mediaUrl, this.setup.origin);
    this.#connect({ type: 'start', version: WIRE_VERSION, token });
  }

  /** Take up a call that the page before this one left. */
  resume(call: KeptCall): void {
    this.#mediaUrl = call.mediaUrl;
    this.#kept = call;
    const seenAgoMs = Date.now() - call.seenAt;
    this.#absence = new Absence(performance.now() - seenAgoMs, call.seconds * 1000);
    this.#takeUp();
  }

  send(message: ClientMessage): void {
    if (this.#isReady) this.#connection?.post({ kind: 'send', message });
  }

  /** Find out soon whether the gateway still answers. */
  probe(): void {
    this.#connection?.post({ kind: 'probe' });
  }

  /** Give everything back. */
  close(): void {
    this.#isClosed = true;
    document.removeEventListener('visibilitychange', this.#revive);
    window.removeEventListener('online', this.#networkChanged);
    this.#network?.removeEventListener('change', this.#networkMayHaveChanged);
    window.clearInterval(this.#ticker);
    window.clearTimeout(this.#retry);
    this.#unfollow();
    this.#connection?.close();
    this.sound.close();
    if (this.#kept) this.setup.memory?.dropCall(this.#kept.account);
  }

  #connect(first: FirstMessage): void {
    this.#connection?.post({ kind: 'open', url: this.#mediaUrl, first });
  }

  #attach(ports: AudioPorts): void {
    this.#connection?.post({ kind: 'attach', ...ports });
  }

  #receive(message: GatewayMessage): void {
    // Right before the end it is the reason; any message after it shows that the call goes on.
    this.#problem = undefined;
    switch (message.type) {
      case 'ready':
      case 'check-ready':
        this.#isReady = true;
        if (message.type === 'ready') this.#keep(message);
        if (this.#absence) {
          this.#absence = undefined;
          this.send({ type: 'media', path: this.#choice.path });
          this.events.away(false);
        }
        if (this.#offerId === 0 && message.webrtc && WebRtc.isPossible && !this.setup.memory?.isBlocked()) void this.#offer();
        break;
      case 'answer':
        if (message.id === this.#offerId) void this.sound.webrtc.answer(message.sdp).catch(() => this.#choice.refused());
        break;
      case 'offer-refused':
        if (message.id === this.#offerId) this.#choice.refused();
        break;
      case 'media':
        this.#isHeldUp = false;
        this.#choice.selected(message.path, performance.now());
        this.#follow();
        break;
      case 'stalled':
        if (message.leg === 'carrier') this.#isHeldUp = message.stalled;
        else if (message.stalled) this.#choice.unheard();
        void this.#look();
        break;
      case 'error':
        this.#problem = { code: message.code, detail: message.message, action: message.action, retry: message.retry };
        break;
    }
    this.events.message(message);
  }

  #keep({ call_id: callId, destination, resume_token: token, resume_seconds: seconds }: Ready): void {
    this.#kept = token
      ? {
          callId,
          destination,
          token,
          seconds,
          mediaUrl: this.#mediaUrl,
          seenAt: Date.now(),
          account: this.setup.account ?? '',
        }
      : undefined;
    if (this.#kept) this.setup.memory?.keepCall(this.#kept);
  }

  async #offer(): Promise<void> {
    if (this.#isOffering) return;
    this.#isOffering = true;
    try {
      const sdp = await this.sound.webrtc.offer();
      this.send({ type: 'offer', id: ++this.#offerId, sdp });
      this.#choice.offered(performance.now());
    } catch {
      // A browser, or an extension of it, that lets no connection be made: the socket carries the call.
      this.#choice.refused();
    }
    this.#isOffering = false;
  }

  #lost(code: number): void {
    this.#isReady = false;
    const isRefused = this.#absence !== undefined && code === 1008;
    // The gateway keeps no call that it has ended itself, and said why.
    const isOver = this.#absence === undefined && this.#problem !== undefined && code !== 1006;
    if (!this.#kept || isRefused || isOver || !isKept(code)) {
      const isMeant = code === 1000 && !this.#problem;
      const failure = isRefused ? new CallerError('call_gone') : errorOfClose(code, this.#problem);
      this.events.ended(isMeant ? undefined : failure);
      return;
    }
    if (!this.#absence) {
      this.#absence = new Absence(performance.now(), this.#kept.seconds * 1000);
      this.events.away(true);
    }
    const pauseMs = this.#absence.next(performance.now());
    if (pauseMs === undefined) this.events.ended(new CallerError('connection_lost'));
    else this.#retry = window.setTimeout(() => this.#takeUp(), pauseMs);
  }

  #takeUp(): void {
    this.#retry = 0;
    const { callId, token } = this.#kept as KeptCall;
    this.#connect({ type: 'resume', version: WIRE_VERSION, call_id: callId, token });
  }

  async #tick(): Promise<void> {
    await this.#look();
    if (++this.#ticks % TICKS_PER_REPORT || !this.#isReady || this.#isClosed) return;
    if (this.#kept) this.setup.memory?.keepCall({ ...this.#kept, seenAt: Date.now() });
    const report = this.#report.report();
    if (report) this.send({ type: 'report', ...report });
  }

  /** See what has come, and decide by it. One at a time: figures taken in another order would count twice. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const websocket = this.sound.heardBySocket(this.#roundTripMs);
    const webrtc = await this.sound.webrtc.heard().catch(() => undefined);
    this.#isLooking = false;
    this.#report.take({ webrtc, websocket }, this.#choice.path);
    this.#decide(webrtc);
  }

  #decide(heard: Heard | undefined): void {
    if (this.#offerId === 0 || this.#isClosed) return;
    const action = this.#choice.poll(performance.now(), {
      up: this.sound.webrtc.isUp,
      reachable: this.#isReady,
      due: this.isDue && !this.#isHeldUp,
      received: heard?.packets ?? 0,
      lost: heard?.lost ?? 0,
      answered: heard?.answered,
    });
    if (action) this.#act(action);
  }

  #act(action: PathAction): void {
    if (action === 'offer') {
      void this.#offer();
    } else if (action === 'give-up') {
      this.setup.memory?.setBlocked(true);
      this.sound.webrtc.close();
    } else {
      this.send({ type: 'media', path: action });
      this.#follow();
    }
  }

  /** Let the audio take the chosen path. */
  #follow(): void {
    this.sound.setPath(this.#choice.path);
    this.events.path(this.#choice.path);
  }

  readonly #networkMayHaveChanged = (): void => {
    if (this.#network?.type === this.#networkType) return;
    this.#networkType = this.#network?.type;
    this.#networkChanged();
  };

  readonly #networkChanged = (): void => {
    this.setup.memory?.setBlocked(false);
    this.#choice.networkChanged(performance.now());
    this.#absence?.restart();
    if (this.#retry) {
      window.clearTimeout(this.#retry);
      this.#takeUp();
    } else {
      this.probe();
    }
  };

  readonly #revive = async (): Promise<void> => {
    if (document.visibilityState !== 'visible') return;
    try {
      const ports = await this.sound.revive();
      if (ports) this.#attach(ports);
    } catch (error) {
      this.events.ended(asCallerError(error));
    }
  };
}
