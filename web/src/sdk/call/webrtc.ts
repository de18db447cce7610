/**
 * The call's audio by WebRTC: one connection to the gateway, which lends this page no addresses and needs none: it is
 * ICE-lite and learns the page's from its checks (RFC 8445 2.5).
 */

import type { Heard } from './report';

/** Host candidates are there within a few milliseconds; without them the gateway still learns the page's address. */
const GATHER_MS = 150;

export class WebRtc {
  #peer: RTCPeerConnection | undefined;
  #transceiver: RTCRtpTransceiver | undefined;
  #track: MediaStreamTrack | undefined;
  #isSending = false;
  #isMuted = false;
  #heard: Heard | undefined;
  #level = 0;
  #isMeasuring = false;
  /** Sums that the mean time in the jitter buffer is the difference of. */
  #delayS = 0;
  #emitted = 0;

  /** The phone's voice plays through `audio`, where a browser's echo canceller expects it; `onChange`: see `isUp`. */
  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly onChange: () => void,
  ) {}

  static get isPossible(): boolean {
    return typeof RTCPeerConnection === 'function';
  }

  /** Whether ICE and DTLS stand and no offer is under way. */
  get isUp(): boolean {
    return this.#peer?.connectionState === 'connected' && this.#peer.signalingState === 'stable';
  }

  /** Level of the phone's voice when it was last asked for, 0 to 1, linear. */
  get level(): number {
    if (!this.#isMeasuring) void this.#measure();
    return this.#level;
  }

  /** Return an offer: of a new connection, or one that restarts ICE on what is there. */
  async offer(): Promise<string> {
    const restarts = ['connected', 'disconnected'].includes(this.#peer?.connectionState ?? '');
    const peer = restarts && this.#peer ? this.#peer : this.#connect();
    const { sdp = '' } = await peer.createOffer({ iceRestart: restarts });
    await peer.setLocalDescription({ type: 'offer', sdp: withNack(sdp) });
    await gathered(peer);
    return peer.localDescription?.sdp ?? '';
  }

  /** Take the gateway's answer to the last offer. */
  async answer(sdp: string): Promise<void> {
    await this.#peer?.setRemoteDescription({ type: 'answer', sdp });
  }

  /** Speak from a copy of this track, so that muting it leaves the original alone. */
  setTrack(track: MediaStreamTrack | undefined): void {
    this.#track?.stop();
    this.#track = track?.clone();
    this.#apply();
  }

  /** Send RTP or none at all; a muted voice is sent as silence, for the stream must not pause. */
  setSending(isSending: boolean, isMuted: boolean): void {
    this.#isSending = isSending;
    this.#isMuted = isMuted;
    this.#apply();
  }

  /** Return what has been received since the connection was made. */
  async heard(): Promise<Heard | undefined> {
    const rows = await statsOf(this.#peer);
    const inbound = rows.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
    if (!inbound) return undefined;
    const pair = rows.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
    const answers = rows.map(({ responsesReceived }) => responsesReceived).filter((count) => count !== undefined);
    const { jitterBufferDelay = 0, jitterBufferEmittedCount = 0, totalSamplesReceived = 0 } = inbound;
    const emitted = jitterBufferEmittedCount - this.#emitted;
    const bufferMs = emitted > 0 ? (1000 * (jitterBufferDelay - this.#delayS)) / emitted : (this.#heard?.bufferMs ?? 0);
    this.#delayS = jitterBufferDelay;
    this.#emitted = jitterBufferEmittedCount;
    const sampleMs = totalSamplesReceived ? (1000 * (inbound.totalSamplesDuration ?? 0)) / totalSamplesReceived : 0;
    this.#heard = {
      packets: inbound.packetsReceived ?? 0,
      lost: Math.max(0, inbound.packetsLost ?? 0),
      concealedMs: (inbound.concealedSamples ?? 0) * sampleMs,
      jitterMs: 1000 * (inbound.jitter ?? 0),
      bufferMs,
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : 1000 * pair.currentRoundTripTime,
      answered: answers.length ? answers.reduce((sum, count) => sum + count, 0) : undefined,
    };
    return this.#heard;
  }

  /** Hang up this path and forget its track. */
  close(): void {
    this.#disconnect();
    this.setTrack(undefined);
  }

  /** Sources tell no level of their own: the gateway sends none along (RFC 6464), for the packets are the carrier's. */
  async #measure(): Promise<void> {
    this.#isMeasuring = true;
    const rows = await statsOf(this.#transceiver?.receiver).catch(() => []);
    this.#level = rows.find(({ type }) => type === 'inbound-rtp')?.audioLevel ?? 0;
    this.#isMeasuring = false;
  }

  #connect(): RTCPeerConnection {
    this.#disconnect();
    const peer = new RTCPeerConnection();
    const transceiver = peer.addTransceiver('audio', { direction: 'sendrecv' });
    this.#peer = peer;
    this.#transceiver = transceiver;
    preferTelephony(transceiver);
    peer.onconnectionstatechange = peer.onsignalingstatechange = this.onChange;
    this.audio.srcObject = new MediaStream([transceiver.receiver.track]);
    void this.audio.play().catch(() => {});
    this.#apply();
    return peer;
  }

  #disconnect(): void {
    if (!this.#peer) return;
    this.#peer.onconnectionstatechange = this.#peer.onsignalingstatechange = null;
    this.#peer.close();
    this.#peer = this.#transceiver = this.#heard = undefined;
    this.#delayS = this.#emitted = 0;
  }

  #apply(): void {
    if (this.#track) this.#track.enabled = !this.#isMuted;
    const sent = this.#isSending ? (this.#track ?? null) : null;
    // Fails only if the connection has been closed by then.
    void this.#transceiver?.sender.replaceTrack(sent).catch(() => {});
  }
}

/** What is read of `getStats` (W3C Identifiers for WebRTC's Statistics API), in seconds and samples. */
interface Row {
  type: string;
  kind?: string;
  audioLevel?: number;
  nominated?: boolean;
  state?: string;
  packetsReceived?: number;
  packetsLost?: number;
  concealedSamples?: number;
  totalSamplesReceived?: number;
  totalSamplesDuration?: number;
  jitter?: number;
  jitterBufferDelay?: number;
  jitterBufferEmittedCount?: number;
  currentRoundTripTime?: number;
  responsesReceived?: number;
}

async function statsOf(source: RTCPeerConnection | RTCRtpReceiver | undefined): Promise<Row[]> {
  return [...((await source?.getStats())?.values() ?? [])];
}

/** Offer the phone network's own codec and digits, nothing that would be transcoded. */
function preferTelephony(transceiver: RTCRtpTransceiver): void {
  const { codecs } = RTCRtpReceiver.getCapabilities('audio') ?? { codecs: [] };
  const called = (name: RegExp): RTCRtpCodec[] => codecs.filter(({ mimeType, clockRate }) => clockRate === 8000 && name.test(mimeType));
  const voice = called(/pcmu/i);
  // Older browsers offer all they know; the gateway picks the same out of it.
  if (voice.length) transceiver.setCodecPreferences?.([...voice, ...called(/telephone-event/i)]);
}

/** Return the offer with retransmission asked for (RFC 4585 4.2), which browsers leave out for PCMU, payload type 0. */
export function withNack(sdp: string): string {
  return sdp.includes('a=rtcp-fb:0 nack') ? sdp : sdp.replace(/^a=rtpmap:0 PCMU\/8000.*\r\n/m, '$&a=rtcp-fb:0 nack\r\n');
}

async function gathered(peer: RTCPeerConnection): Promise<void> {
  if (peer.iceGatheringState === 'complete') return;
  await new Promise<void>((resolve) => {
    window.setTimeout(resolve, GATHER_MS);
    peer.onicegatheringstatechange = () => {
      if (peer.iceGatheringState === 'complete') resolve();
    };
  });
}
