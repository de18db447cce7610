/**
 * The codes of all errors, and the words of those that begin on the page. Written by
 * docs/generate.py from errors.json and gateway/errors.py.
 */

/** What fails on the page. */
export type OwnCode =
  | 'insecure_page'
  | 'unsupported_browser'
  | 'microphone_refused'
  | 'microphone_missing'
  | 'microphone_busy'
  | 'microphone_timeout'
  | 'audio_blocked'
  | 'policy_refused'
  | 'file_missing'
  | 'audio_processor_failed'
  | 'already_in_call'
  | 'token_missing'
  | 'token_expired'
  | 'token_unavailable'
  | 'key_refused'
  | 'request_refused'
  | 'digits_invalid'
  | 'offline'
  | 'gateway_unreachable'
  | 'connection_lost'
  | 'call_gone'
  | 'token_refused'
  | 'protocol_error'
  | 'gateway_failed'
  | 'gateway_busy'
  | 'page_crashed';

/** What the gateway refuses for. */
export type GatewayCode =
  | 'bad_request'
  | 'bad_message'
  | 'message_flood'
  | 'unauthorized'
  | 'two_credentials'
  | 'sign_up_closed'
  | 'cross_origin'
  | 'address_unproven'
  | 'step_up_needed'
  | 'terms_changed'
  | 'scope_missing'
  | 'bad_signature'
  | 'bad_origin'
  | 'bad_token'
  | 'bad_resume'
  | 'start_timeout'
  | 'not_found'
  | 'account_not_found'
  | 'network_refused'
  | 'balance_too_low'
  | 'data_request_not_open'
  | 'credit_reference_reused'
  | 'call_not_found'
  | 'call_ended'
  | 'method_not_allowed'
  | 'payload_too_large'
  | 'form_of_another_account'
  | 'idempotency_key_reused'
  | 'unsupported_media_type'
  | 'number_invalid'
  | 'number_too_short'
  | 'number_emergency'
  | 'number_premium'
  | 'number_high_risk'
  | 'country_closed'
  | 'number_in_address'
  | 'destination_not_priced'
  | 'codec_unknown'
  | 'insufficient_credit'
  | 'cap_reached'
  | 'new_card_limited'
  | 'account_frozen'
  | 'account_restricted'
  | 'too_many_calls'
  | 'rate_limited'
  | 'calls_limited'
  | 'number_limited'
  | 'short_calls_limited'
  | 'range_limited'
  | 'button_not_found'
  | 'button_closed'
  | 'button_paused'
  | 'button_busy'
  | 'button_limited'
  | 'budget_reached'
  | 'button_rules_wrong'
  | 'buttons_too_many'
  | 'button_keys_too_many'
  | 'destination_unproven'
  | 'destination_not_found'
  | 'human_check_failed'
  | 'human_check_unavailable'
  | 'button_unavailable'
  | 'challenge_wrong'
  | 'visitor_needed'
  | 'challenge_used'
  | 'call_not_answered'
  | 'supervision_refused'
  | 'supervision_changed'
  | 'already_supervised'
  | 'holder_decides'
  | 'node_not_found'
  | 'node_stopping'
  | 'node_silent'
  | 'alarm_not_found'
  | 'too_many_silences'
  | 'feed_full'
  | 'too_many_viewers'
  | 'payments_off'
  | 'payment_unavailable'
  | 'amount_out_of_range'
  | 'payment_not_found'
  | 'refund_reference_reused'
  | 'payment_key_reused'
  | 'refund_too_large'
  | 'no_saved_card'
  | 'charge_in_flight'
  | 'card_limit_reached'
  | 'webhook_not_found'
  | 'webhook_refused'
  | 'webhooks_too_many'
  | 'webhook_disabled'
  | 'webhooks_off'
  | 'too_many_checks'
  | 'gateway_full'
  | 'gateway_draining'
  | 'store_unavailable'
  | 'internal_error';

/** Code -> what has happened, what to do, and whether the same may succeed later. */
export type OwnWords = Record<OwnCode, readonly [string, string, boolean]>;

export const OWN_WORDS: OwnWords = {
  insecure_page: [
    'Browsers allow the microphone only on secure pages.',
    'Open this page by https://, or on this machine by http://localhost.',
    false,
  ],
  unsupported_browser: [
    'This browser cannot place calls.',
    'Use a current Chrome, Edge, Firefox or Safari.',
    false,
  ],
  microphone_refused: [
    'The browser was not allowed to use the microphone.',
    'Allow it with the symbol in the address bar, then call again.',
    true,
  ],
  microphone_missing: [
    'No microphone was found.',
    'Connect a microphone or headset, then call again.',
    true,
  ],
  microphone_busy: [
    'The microphone could not be opened.',
    'Close other programs that use it, then call again.',
    true,
  ],
  microphone_timeout: [
    'The browser’s question about the microphone was not answered.',
    'Call again and choose “Allow” when the browser asks.',
    true,
  ],
  audio_blocked: [
    'The browser did not let sound start.',
    'Call again by a click or a key; check that this page may play sound.',
    true,
  ],
  policy_refused: [
    'The content security policy of this page does not let the sound of calls load.',
    'Allow worklets.js in its script-src.',
    false,
  ],
  file_missing: [
    'A file that calls need is not beside this page’s script.',
    'Put worklets.js there.',
    false,
  ],
  audio_processor_failed: [
    'What this page does to the voice before it is sent has failed.',
    'Reload the page, then call again.',
    false,
  ],
  already_in_call: [
    'A call is under way on this page.',
    'End it before another is placed.',
    false,
  ],
  token_missing: [
    'There is no token for this call: each is good for one.',
    'Give one by updateToken, or say how to get one by getToken.',
    false,
  ],
  token_expired: [
    'The token for this call has expired.',
    'Give a new one by updateToken, or say how to get one by getToken.',
    true,
  ],
  token_unavailable: [
    'This page could not get a token for the call.',
    'Check your network, then call again.',
    true,
  ],
  key_refused: [
    'The API key was not accepted, and you are not signed in.',
    'Sign in again, or use a key that is good.',
    false,
  ],
  request_refused: [
    'The gateway refused this call.',
    'Check the number and try again.',
    false,
  ],
  digits_invalid: [
    'These are no keys of a telephone.',
    'Send only 0 to 9, *, #, A to D, and w for a pause.',
    false,
  ],
  offline: [
    'You are offline.',
    'Check your network connection, then call again.',
    true,
  ],
  gateway_unreachable: [
    'The gateway does not answer.',
    'Check that it is running and your network works, then call again.',
    true,
  ],
  connection_lost: [
    'The connection to the gateway was lost.',
    'Check your network, then call again. You pay only for the time used.',
    true,
  ],
  call_gone: [
    'The call is over: the connection was lost for too long.',
    'Call again. You pay only for the time used.',
    true,
  ],
  token_refused: [
    'The gateway did not accept this call in time.',
    'Call again.',
    true,
  ],
  protocol_error: [
    'The page and the gateway did not understand each other.',
    'Reload the page, then call again.',
    false,
  ],
  gateway_failed: [
    'Something failed at the gateway.',
    'Call again; if it stays so, tell the operator.',
    true,
  ],
  gateway_busy: [
    'The gateway is busy or being restarted.',
    'Call again in a moment.',
    true,
  ],
  page_crashed: [
    'Something on this page failed.',
    'Reload the page, then call again.',
    false,
  ],
};
