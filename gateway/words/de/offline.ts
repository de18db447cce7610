/** What an installed phone says where the network is away, in German. */

export const words = {
  title: 'Kein Netz',
  text: 'Anrufe brauchen ein Netz. Das Telefon öffnet sich von selbst, sobald es eines gibt.',
  again: 'Erneut versuchen',
};
