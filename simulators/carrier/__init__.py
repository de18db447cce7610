"""Simulates a carrier: Twilio's REST API, signed webhooks and Media Streams, served locally.

It runs as a process of its own and meets the gateway only where Twilio would: REST requests come
in, webhooks and media sockets go out. It knows nothing of the gateway; everything it plays, hears
or measures is kept in memory and bounded.

The dialled number chooses what happens (`scripts`); a control API under `/simulator/v1/`
(`control`) shows what the called party heard, injects faults and acts on live calls.

Pure: `beats callbacks callee calls clips debugger faults frames listing numbers orders playout
recording resources scripts signing tariff twiml`. With side effects: `webhooks` (HTTP out),
`media_socket` and `stream` (WebSocket out), `clock` and `ticker` (time), `line`, `conversation`,
`courier` and `exchange` (tasks), `rest`, `control` and `service` (HTTP in). Start it with
`simulators.carrier.service.SimulatorService`.
"""
