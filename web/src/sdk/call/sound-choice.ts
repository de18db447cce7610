/**
 * Which microphone and loudspeaker, and what the browser does to the voice, as a person chose. Kept in this browser
 * once something was chosen, never before.
 */

export interface SoundChoice {
  echoCancellation: boolean;
  noiseSuppression: boolean;
  autoGainControl: boolean;
  /** Device ids; empty for the system's own choice. */
  microphone: string;
  speaker: string;
}

export const STORED = 'caller-sound';

const USUAL: SoundChoice = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  microphone: '',
  speaker: '',
};

let choice: SoundChoice | undefined;

/** What follows the choice: the calls that are under way. */
export const followers = new Set<() => Promise<void>>();

/** Return what holds: one object, which is changed where another choice is made. */
export function soundChoice(): SoundChoice {
  choice ??= { ...USUAL, ...stored() };
  return choice;
}

/** Have this done whenever another choice is made; return what ends that. */
export function followChoice(apply: () => Promise<void>): () => void {
  followers.add(apply);
  return () => void followers.delete(apply);
}

/** Play this through the chosen loudspeaker, where the browser lets a page choose. */
export function applySpeaker(player: EventTarget & { setSinkId?: (id: string) => Promise<void> }): void {
  // Gone, or refused: the system's own goes on.
  void player.setSinkId?.(soundChoice().speaker).catch(() => {});
}

/** Return what to ask of the microphone. A device that is gone must not keep a call from starting: all is `ideal`. */
export function constraints({ microphone, ...processing }: SoundChoice): MediaTrackConstraints {
  return {
    channelCount: { ideal: 1 },
    // `all` cancels the echo of everything the machine plays, where the browser can; others read any string as true
    // and cancel what they can (MDN: MediaTrackConstraints.echoCancellation).
    echoCancellation: { ideal: (processing.echoCancellation && 'all') as unknown as boolean },
    noiseSuppression: { ideal: processing.noiseSuppression },
    autoGainControl: { ideal: processing.autoGainControl },
    ...(microphone && { deviceId: { ideal: microphone } }),
  };
}

function stored(): Partial<SoundChoice> {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? '{}') as Partial<SoundChoice>;
  } catch {
    return {};
  }
}
