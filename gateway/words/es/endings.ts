/** What the phone and the live page both say of how calls end or are refused, in Spanish. */

import type { Causes } from '../en/endings';

export const causes: Causes = {
  'cause.1': 'El número no existe',
  'cause.16': 'Terminada',
  'cause.17': 'Ocupado',
  'cause.18': 'Sin reacción',
  'cause.19': 'Sin respuesta',
  'cause.21': 'Rechazada',
  'cause.27': 'Fuera de servicio',
  'cause.28': 'Número incompleto',
  'cause.34': 'Líneas ocupadas',
  'cause.38': 'Red inalcanzable',
  'cause.41': 'Fallida',
  'cause.42': 'Red saturada',
  'cause.50': 'Número propio no aceptado',
  'cause.52': 'No permitida',
  'cause.58': 'Sin sonido posible',
  'cause.63': 'Límite del botón alcanzado',
  'cause.102': 'La red no respondió',
  'cause.111': 'Red incomprensible',
  'cause.487': 'Cancelada',
  'cause.502': 'Servicio reiniciado',
  'cause.504': 'Terminada a petición',
  'cause.602': 'Saldo agotado',
  'cause.604': 'Sonido perdido',
  'cause.609': 'Servicio inalcanzable',
};

/** Refusals, which the gateway says itself in English. */
export const problems = {
  'problem.scope_missing': 'Esta clave de API no permite eso.',
  'problem.rate_limited': 'Demasiadas peticiones en poco tiempo.',
  'problem.internal_error': 'Algo falló en el servicio.',
};
