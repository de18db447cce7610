"""Simulates a payment service: Stripe's API, hosted page and signed webhooks. No money moves.

It runs as a process of its own and meets the gateway only where Stripe would: API requests come in,
webhooks go out, and a person pays on a page of plain HTML. It knows nothing of the gateway and
nothing of credits; what it holds is kept in memory and bounded.

The button on the page, or the test card, chooses what happens (`cards`); a control API under
`/simulator/v1/` (`control`) does what a bank or the dashboard would, and disturbs deliveries.

Pure, with the time as an argument: `account amounts cards checkout customers disputes
expansion faults form idempotency intents listing outbox pages refunds registry resources schedule
signing world`. With side effects: `clock` (time), `courier` (HTTP out), `access`, `rest`, `hosted`,
`control` and `service` (HTTP in). Start it with
`simulators.payments.service.PaymentSimulatorService`.
"""
