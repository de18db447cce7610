/** What the phone and the live page both say of how calls end or are refused, in German. */

import type { Causes } from '../en/endings';

export const causes: Causes = {
  'cause.1': 'Nummer unbekannt',
  'cause.16': 'Beendet',
  'cause.17': 'Besetzt',
  'cause.18': 'Keine Reaktion',
  'cause.19': 'Keine Antwort',
  'cause.21': 'Abgelehnt',
  'cause.27': 'Außer Betrieb',
  'cause.28': 'Nummer unvollständig',
  'cause.34': 'Leitungen belegt',
  'cause.38': 'Netz nicht erreichbar',
  'cause.41': 'Fehlgeschlagen',
  'cause.42': 'Netz überlastet',
  'cause.50': 'Eigene Nummer nicht angenommen',
  'cause.52': 'Nicht erlaubt',
  'cause.58': 'Kein Ton möglich',
  'cause.63': 'Grenze des Knopfs erreicht',
  'cause.102': 'Netz antwortet nicht',
  'cause.111': 'Netz unverständlich',
  'cause.487': 'Abgebrochen',
  'cause.502': 'Gateway neu gestartet',
  'cause.504': 'Auf Wunsch beendet',
  'cause.602': 'Guthaben aufgebraucht',
  'cause.604': 'Ton verloren',
  'cause.609': 'Gateway nicht erreichbar',
};

/** Refusals, which the gateway says itself in English. */
export const problems = {
  'problem.scope_missing': 'Dieser API-Schlüssel erlaubt das nicht.',
  'problem.rate_limited': 'Zu viele Anfragen in kurzer Zeit.',
  'problem.internal_error': 'Am Gateway ist etwas fehlgeschlagen.',
};
