/** Every word of the live page where no calls can be shown, in English. */

export const english = {
  endings: {
    unauthorized: ['You are not signed in', 'Sign in, or use an API key of the gateway.'],
    scope_missing: ['This API key may not see calls', 'Use a key with the scope “calls”, or “admin” for all calls.'],
    key_refused: ['This API key is not valid', 'It is mistyped, expired or revoked. Use another, or sign in.'],
    not_a_key: ['This does not look like an API key', 'Copy the whole text that starts with “ck_”.'],
    network_refused: ['This API key is not accepted from here', 'Use it in the network that the operator has set for it.'],
    other: ['The gateway does not show calls here', 'Ask the operator, or try again later.'],
  } satisfies Record<string, readonly [string, string]>,
  signIn: 'Sign in',
  keyLabel: 'API key',
  keyHelp: 'It starts with “ck_”. It stays in this tab and is forgotten when you close it.',
  keySubmit: 'Show the calls',
  tryAgain: 'Try again',
  forgetKey: 'Forget the API key',
};
