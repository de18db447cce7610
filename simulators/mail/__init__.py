"""Simulates a mail server that delivers to one place: a page on which a person reads all mails.

It runs as a process of its own and meets the gateway only where a mail server would: mails come in
by SMTP. It knows nothing of the gateway; what it holds is kept in memory and bounded. No mail
leaves it.

Anyone who reaches the page reads every mail, as their links are to be tried out: it belongs on an
address of this machine only.

Pure, with the time as an argument: `mailbox mime pages settings`. With side effects: `smtp` (SMTP
in), `site` and `service` (HTTP in). Start it with `simulators.mail.service.MailSimulatorService`.
"""
