"""What we tell Twilio to do with a call, as TwiML. Knows no HTTP."""

from __future__ import annotations

from twilio.twiml.voice_response import Connect, Stream, VoiceResponse

from gateway.twilio.hooks import CallHooks

WEBHOOK_OVERRIDES = "#rc=3&rp=all&ct=2000&rt=4000"
"""How Twilio is to deliver a callback: three more attempts, whatever failed (it would make one
more, and only where it could not connect), each given up soon enough to leave time for the next
within its 15 s for all. A fragment is not sent.
Source: Twilio, "Webhooks (HTTP callbacks): Connection Overrides"."""


def connect_twiml(hooks: CallHooks) -> str:
    """Return what the carrier does with the answered call.

    Nothing may follow `</Connect>` but the redirect to our re-attach endpoint: whatever follows
    runs when the media socket closes, on a line that is paid for.
    """
    stream = Stream(
        url=hooks.stream_url, status_callback=hooks.stream_status_url + WEBHOOK_OVERRIDES
    )
    stream.parameter(name="token", value=hooks.token)
    connect = Connect()
    connect.append(stream)
    response = VoiceResponse()
    response.append(connect)
    response.redirect(hooks.reattach_url + WEBHOOK_OVERRIDES, method="POST")
    return str(response)


def hangup_twiml() -> str:
    """Return the order to end the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)
