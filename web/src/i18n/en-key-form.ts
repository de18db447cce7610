/** The words of the form that asks for the API key, in English. */
export const keyForm = {
  keyTitle: 'Connect your phone',
  keyIntro: 'This page places calls with an API key of the gateway.',
  keyLabel: 'API key',
  keyHelp: 'It starts with “ck_” and is printed in the terminal where the gateway was started.',
  keySubmit: 'Open the phone',
  keyInvalid: 'This does not look like an API key. Copy the whole text that starts with “ck_”.',
  keyKept: 'The key stays in this tab and is forgotten when you close it.',
} as const;
