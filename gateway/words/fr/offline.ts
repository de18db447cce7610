/** What an installed phone says where the network is away, in French. */

export const words = {
  title: 'Pas de réseau',
  text: 'Les appels ont besoin d’un réseau. Le téléphone s’ouvre de lui-même dès qu’il y en a un.',
  again: 'Réessayer',
};
