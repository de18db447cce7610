/** What an installed phone says where the network is away, in English. */

export const words = {
  title: 'No network',
  text: 'Calls need a network. The phone opens automatically as soon as there is one.',
  again: 'Try again',
};
