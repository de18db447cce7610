/** The words of what stands beside a call, in English: the test of the line, the sound settings, the way back. */
export const en = {
  checkIntro: 'Hear yourself as others will: your voice goes to the gateway and back. It costs nothing and is not kept.',
  checkStart: 'Start the test',
  checkAgain: 'Test again',
  checkOpening: 'Connecting…',
  checkSpeak: 'Speak now: you hear your own voice.',
  checkProgress: 'Progress of the test',
  level: 'Your microphone',
  'verdict.good': 'Good',
  'verdict.fair': 'Fair',
  'verdict.poor': 'Poor',
  'verdict.failed': 'No sound',
  figures: '{path} · {rtt} there and back · {loss} lost',
  quiet: 'Your microphone is very quiet.',
  'quiet.next': 'Speak closer to it, or raise its level.',

  echoCancellation: 'Cancel echo',
  noiseSuppression: 'Suppress noise',
  autoGainControl: 'Adjust loudness by itself',
  microphone: 'Microphone',
  speaker: 'Loudspeaker',
  systemChoice: 'The system’s choice',
  device: '{kind} {number}',

  returnTitle: 'Your call to {number} goes on.',
  returnNext: 'The page was loaded again; the call is kept, and charged, for a moment. Calling another number ends it.',
  returnButton: 'Return to the call',
  returnEnd: 'End it',
  returnEnding: 'Ending…',
  returnStays: 'It could not be ended. Check your network and try again; else the gateway ends it by itself.',
  returnSeconds: '{seconds} s left',
} as const;

export type Strings = Record<keyof typeof en, string> & Partial<Record<string, string>>;
