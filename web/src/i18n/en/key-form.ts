/** The words of the forms that ask for the API key, and for which of two, in English. */
export const keyForm = {
  keyTitle: 'Connect your phone',
  keyIntro: 'This page places calls with an API key of the gateway.',
  signIn: 'Sign in, if you have an account',
  keyLabel: 'API key',
  keyHelp: 'It starts with “ck_” and is printed in the terminal where the gateway was started.',
  keySubmit: 'Open the phone',
  keyInvalid: 'This does not look like an API key. Copy the whole text that starts with “ck_”.',
  topUpReturned: 'Paid. You can close this tab.',
  'topUpReturned.next': 'Go on in the tab you came from; the credit is there.',
  topUpCancelled: 'Nothing was paid. You can close this tab.',
  'topUpCancelled.next': 'Go on in the tab you came from; you can top up again there.',
  openHere: 'Open the phone here instead',

  'problem.key_revoked': 'The API key is no longer accepted: it was revoked, or its time is over.',
  'problem.key_revoked.next': 'Ask the operator for another.',
  keyKept: 'The key stays in this tab and is forgotten when you close it.',

  offerTitle: 'Change the account?',
  offerOther: 'The link you opened brings an API key of the account “{offered}”. This tab is connected to “{own}”.',
  offerSame: 'The link you opened brings another API key of the account “{own}”.',
  offerUnknown: 'The link you opened brings another API key. Whose it is cannot be said right now.',
  offerWarning: 'Calls and top-ups go to the account you choose. If somebody sent you the link, stay.',
  offerStay: 'Stay',
  offerChange: 'Use the link’s key',
  offerRefused: 'The link you opened brings an API key that was not accepted.',
} as const;
