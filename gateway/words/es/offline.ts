/** What an installed phone says where the network is away, in Spanish. */

export const words = {
  title: 'Sin red',
  text: 'Las llamadas necesitan una red. El teléfono se abre solo en cuanto haya una.',
  again: 'Reintentar',
};
