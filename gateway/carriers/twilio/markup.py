"""Builds the TwiML that tells Twilio what to do with a call."""

from __future__ import annotations

from twilio.twiml.voice_response import Connect, Stream, VoiceResponse

from gateway.carriers.twilio.hooks import CallHooks

WEBHOOK_OVERRIDES = "#rc=3&rp=all&ct=2000&rt=4000"
"""How Twilio delivers callbacks: three retries after any failure (its default is one, and only
if it could not connect), each attempt short enough to leave time for the next within the 15 s
for all. The fragment itself is not sent. Source: Twilio, "Webhooks (HTTP callbacks): Connection
Overrides"."""


def connect_twiml(hooks: CallHooks) -> str:
    """Return the TwiML that connects the answered call to our media stream.

    Nothing but the redirect to our re-attach endpoint may follow `</Connect>`: what follows
    runs when the media socket closes, on a line that is still paid for.
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


def say_twiml(text: str, language: str) -> str:
    """Return the TwiML that says a text, in a language such as `de-DE`, and ends the call."""
    response = VoiceResponse()
    # The person who picks up says hello first.
    response.pause(length=1)
    response.say(text, language=language)
    response.hangup()
    return str(response)


def hangup_twiml() -> str:
    """Return the TwiML that ends the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)
