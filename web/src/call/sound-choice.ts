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

const STORED = 'caller-sound';

const USUAL: SoundChoice = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  microphone: '',
  speaker: '',
};

let choice: SoundChoice | undefined;

/** Return what holds. */
export function soundChoice(): SoundChoice {
  choice ??= { ...USUAL, ...stored() };
  return choice;
}

/** Choose, for this and later calls of this browser. */
export function chooseSound(changes: Partial<SoundChoice>): void {
  choice = { ...soundChoice(), ...changes };
  try {
    localStorage.setItem(STORED, JSON.stringify(choice));
  } catch {
    // Storage is blocked: the choice lives as long as the page.
  }
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
