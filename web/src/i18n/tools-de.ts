/** The words of what stands beside a call, in German, and the gateway's verdicts besides. */

import type { Strings } from './tools-en';

export const de: Strings = {
  checkIntro: 'Hören Sie sich, wie andere Sie hören: Ihre Stimme geht zum Gateway und zurück. Das kostet nichts und wird nicht aufgehoben.',
  checkStart: 'Test beginnen',
  checkAgain: 'Noch einmal testen',
  checkOpening: 'Verbinde…',
  checkSpeak: 'Sprechen Sie jetzt: Sie hören Ihre eigene Stimme.',
  checkProgress: 'Fortschritt des Tests',
  level: 'Ihr Mikrofon',
  'verdict.good': 'Gut',
  'verdict.fair': 'Mäßig',
  'verdict.poor': 'Schlecht',
  'verdict.failed': 'Kein Ton',
  'verdict.good.what': 'Anrufe klingen von hier aus gut.',
  'verdict.fair.what': 'Anrufe sind verständlich, mit gelegentlichen Störungen.',
  'verdict.fair.next': 'Gehen Sie näher ans WLAN oder nehmen Sie ein Kabel.',
  'verdict.poor.what': 'Anrufe sind von hier aus schwer zu verstehen.',
  'verdict.poor.next': 'Versuchen Sie ein anderes Netz, oder beenden Sie, was dieses sonst noch nutzt.',
  'verdict.failed.what': 'Es kam kein Ton an.',
  'verdict.failed.next': 'Erlauben Sie das Mikrofon und prüfen Sie, dass es nicht stumm ist.',
  figures: '{path} · {rtt} hin und zurück · {loss} verloren',
  quiet: 'Ihr Mikrofon ist sehr leise.',
  'quiet.next': 'Sprechen Sie näher am Mikrofon oder erhöhen Sie seinen Pegel.',

  echoCancellation: 'Echo unterdrücken',
  noiseSuppression: 'Geräusche unterdrücken',
  autoGainControl: 'Lautstärke selbst anpassen',
  microphone: 'Mikrofon',
  speaker: 'Lautsprecher',
  systemChoice: 'Wahl des Systems',
  device: '{kind} {number}',

  returnTitle: 'Ihr Anruf an {number} läuft weiter.',
  returnNext: 'Die Seite wurde neu geladen; der Anruf wird kurz gehalten und berechnet. Ein anderer Anruf beendet ihn.',
  returnButton: 'Zurück zum Anruf',
  returnEnd: 'Beenden',
  returnEnding: 'Wird beendet…',
  returnStays: 'Er ließ sich nicht beenden. Prüfen Sie Ihr Netz und versuchen Sie es erneut; sonst beendet ihn das Gateway.',
  returnSeconds: 'noch {seconds} s',
};
