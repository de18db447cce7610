/** What the phone and the live page both say of how calls end or are refused, in French. */

import type { Causes } from '../en/endings';

export const causes: Causes = {
  'cause.1': 'Numéro inconnu',
  'cause.16': 'Terminé',
  'cause.17': 'Occupé',
  'cause.18': 'Aucune réaction',
  'cause.19': 'Sans réponse',
  'cause.21': 'Refusé',
  'cause.27': 'Hors service',
  'cause.28': 'Numéro incomplet',
  'cause.34': 'Lignes occupées',
  'cause.38': 'Réseau injoignable',
  'cause.41': 'Échoué',
  'cause.42': 'Réseau saturé',
  'cause.50': 'Notre numéro refusé',
  'cause.52': 'Non autorisé',
  'cause.58': 'Aucun son possible',
  'cause.63': 'Limite du bouton atteinte',
  'cause.102': 'Le réseau ne répond pas',
  'cause.111': 'Réseau incompréhensible',
  'cause.487': 'Annulé',
  'cause.502': 'Passerelle redémarrée',
  'cause.504': 'Terminé sur demande',
  'cause.602': 'Crédit épuisé',
  'cause.604': 'Son perdu',
  'cause.609': 'Passerelle injoignable',
};

/** Refusals, which the gateway says itself in English. */
export const problems = {
  'problem.scope_missing': 'Cette clé d’API ne le permet pas.',
  'problem.rate_limited': 'Trop de requêtes en peu de temps.',
  'problem.internal_error': 'Quelque chose a échoué sur la passerelle.',
};
