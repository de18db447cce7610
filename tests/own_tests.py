"""Says which test files prove which module: the one at the same path, or those named here.

A file under `tests/gateway/` proves the module of its name under `gateway/`, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "media", "billing", "accounts", "database", "simulators")

FOLDERS = {
    "billing/stores": "billing/sql",
    "gateway/buttons": "gateway/buttons/on_stage",
    "gateway/watching": "gateway/watching/on_stage",
    "gateway/supervision": "gateway/supervision/on_stage",
    "gateway/carriers/twilio": "gateway/carriers/twilio/on_stage",
}
"""Folders of modules whose tests lie in a folder of another name as well."""

TESTED_BY: dict[str, tuple[str, ...]] = {
    "accounts.audit_log": ("tests/accounts/stores/test_audit_log.py",),
    "accounts.stores.passkeys": ("tests/gateway/people/test_passkey_store.py",),
    "accounts.stores.second_factors": ("tests/gateway/people/test_second_factor_store.py",),
    "accounts.stores.valkey": (
        "tests/accounts/stores/test_ceremonies.py",
        "tests/accounts/stores/test_sessions.py",
    ),
    "billing.gate_rows": ("tests/billing/sql/test_gate_audit.py",),
    "billing.stores.call_rows": ("tests/billing/sql/test_cdr_store.py",),
    "billing.stores.closed_books": ("tests/billing/sql/test_closed_books.py",),
    "billing.stores.closed_audit": ("tests/billing/sql/test_closed_books.py",),
    "gateway.stores.book_closing": ("tests/gateway/personal_data/test_retention.py",),
    "billing.stores.call_forgetting": (
        "tests/gateway/personal_data/test_retention.py",
        "tests/money/test_erasure.py",
    ),
    "billing.stores.column_audit": (
        "tests/billing/sql/test_audit.py",
        "tests/billing/sql/test_planted_faults.py",
    ),
    "billing.stores.deletion_refunds": ("tests/money/test_failed_refunds.py",),
    "billing.stores.late_payments": ("tests/money/test_late_payments.py",),
    "billing.stores.findings": ("tests/billing/sql/test_audit.py",),
    "billing.stores.pages": (
        "tests/billing/sql/test_cdr_store.py",
        "tests/billing/sql/test_payment_store.py",
    ),
    "billing.stores.payments": ("tests/billing/sql/test_payment_store.py",),
    "billing.stores.saved_cards": (
        "tests/billing/sql/test_payment_store.py",
        "tests/gateway/payments/test_lost_charges.py",
    ),
    "billing.stores.redis_outbox": (
        "tests/billing/stores/test_redis.py",
        "tests/billing/stores/test_redis_outbox.py",
    ),
    "billing.stores.row_audit": ("tests/billing/sql/test_audit.py",),
    "billing.stores.sql": (
        "tests/billing/sql/test_cdr_store.py",
        "tests/billing/sql/test_ledger_store.py",
        "tests/billing/sql/test_partition_marks.py",
    ),
    "billing.stores.tables": ("tests/billing/sql/test_outages.py",),
    "database.engine": ("tests/database/test_engine.py", "tests/billing/sql/test_outages.py"),
    "database.schema": (
        "tests/billing/sql/test_migrations.py",
        "tests/database/test_refusals.py",
    ),
    "gateway.__main__": ("tests/gateway/cli/test_process.py",),
    "gateway.finding": ("tests/gateway/roles/test_preflight.py",),
    "gateway.carriers.callbacks": ("tests/gateway/carriers/twilio/on_stage/test_webhooks.py",),
    "gateway.carriers.twilio.client": (
        "tests/gateway/carriers/twilio/test_rest.py",
        "tests/gateway/carriers/twilio/test_account.py",
    ),
    "gateway.roles.probe": ("tests/gateway/roles/test_reach.py",),
    "gateway.roles.setup": (
        "tests/gateway/cli/test_setup.py",
        "tests/gateway/cli/test_another_carrier.py",
    ),
    "gateway.setup_steps": ("tests/gateway/roles/test_answers.py",),
    "gateway.call.carrier_status": ("tests/gateway/carriers/twilio/test_status.py",),
    "gateway.call.ghost": (
        "tests/gateway/calls/test_ghosts.py",
        "tests/gateway/stores/test_ghosts.py",
    ),
    "accounts.button_kinds": ("tests/gateway/test_data_map.py",),
    "accounts.money_kinds": ("tests/gateway/test_data_map.py",),
    "gateway.buttons.budgets": ("tests/gateway/buttons/test_budget_store.py",),
    "gateway.sockets.closing": (
        "tests/gateway/sockets/test_closing.py",
        "tests/gateway/sockets/test_addresses.py",
    ),
    "gateway.buttons.ports": (
        "tests/gateway/embed/test_found_button.py",
        "tests/gateway/buttons/test_store.py",
        "tests/gateway/buttons/test_budget_store.py",
    ),
    "gateway.limits.velocity_limits": ("tests/gateway/limits/test_velocity.py",),
    "gateway.buttons.acts": ("tests/gateway/buttons/on_stage/test_own_buttons.py",),
    "gateway.administration.app": ("tests/gateway/test_apps.py",),
    "gateway.administration.build": ("tests/gateway/test_access.py",),
    "gateway.administration.fleet_api": ("tests/gateway/http/api/test_fleet.py",),
    "gateway.http.call_finder": ("tests/gateway/http/api/test_fleet.py",),
    "gateway.administration.ports": ("tests/gateway/administration/test_acts.py",),
    "gateway.administration.api": ("tests/gateway/http/api/test_admin.py",),
    "gateway.administration.data_requests_api": ("tests/gateway/http/api/test_data_requests.py",),
    "gateway.http.admin_routes": ("tests/gateway/http/api/test_admin.py",),
    "gateway.http.outcomes": ("tests/gateway/people/test_password.py",),
    "gateway.people.account_pages": ("tests/gateway/http/site/test_account.py",),
    "gateway.people.api": ("tests/gateway/http/api/test_keys.py",),
    "gateway.people.app": ("tests/gateway/test_apps.py",),
    "gateway.people.build": ("tests/gateway/people/test_web.py",),
    "gateway.people.country_pages": ("tests/gateway/http/site/test_country_pages.py",),
    "gateway.people.data_pages": ("tests/gateway/http/site/test_data.py",),
    "gateway.people.document_pages": ("tests/gateway/http/site/test_documents.py",),
    "gateway.people.forms": ("tests/gateway/http/site/test_forms.py",),
    "gateway.people.key_pages": ("tests/gateway/http/site/test_keys.py",),
    "gateway.people.leaving_pages": ("tests/gateway/http/site/test_leaving.py",),
    "gateway.people.link_pages": ("tests/gateway/http/site/test_links.py",),
    "gateway.people.own_documents": (
        "tests/gateway/http/site/test_own_documents.py",
        "tests/gateway/roles/test_documents.py",
    ),
    "gateway.people.own_text": ("tests/gateway/http/site/test_own_text.py",),
    "gateway.people.passkey_pages": ("tests/gateway/http/site/test_passkeys.py",),
    "gateway.people.privacy_pages": (
        "tests/gateway/http/site/test_privacy.py",
        "tests/gateway/http/site/test_restriction.py",
    ),
    "gateway.people.security_pages": ("tests/gateway/http/site/test_security.py",),
    "gateway.people.sign_in_pages": (
        "tests/gateway/http/site/test_sign_in.py",
        "tests/gateway/http/site/test_sign_in_code.py",
    ),
    "gateway.people.sign_up_pages": ("tests/gateway/http/site/test_sign_up.py",),
    "gateway.people.work": ("tests/gateway/roles/test_drainer_process.py",),
    "gateway.roles.pages": ("tests/gateway/people/test_web.py",),
    "gateway.people.sign_in": (
        "tests/gateway/people/test_sign_in.py",
        "tests/gateway/people/test_codes.py",
    ),
    "gateway.own_calls.api": (
        "tests/gateway/own_calls/test_api.py",
        "tests/gateway/own_calls/test_calls_of_buttons.py",
    ),
    "gateway.problems": ("tests/gateway/http/test_problems.py",),
    "gateway.buttons.app": ("tests/gateway/test_apps.py",),
    "gateway.buttons.build": ("tests/calls/test_buttons.py",),
    "gateway.buttons.destination_pages": ("tests/gateway/http/site/test_destinations.py",),
    "gateway.buttons.pages": ("tests/gateway/http/site/test_buttons.py",),
    "gateway.buttons.personal_rows": (
        "tests/gateway/test_apps.py",
        "tests/gateway/buttons/test_taken_back.py",
    ),
    "gateway.buttons.work": ("tests/gateway/roles/test_drainer_process.py",),
    "gateway.payments.api": ("tests/gateway/http/api/test_payments.py",),
    "gateway.payments.app": ("tests/gateway/test_apps.py",),
    "gateway.payments.ledger_api": ("tests/gateway/http/api/test_ledger.py",),
    "gateway.payments.pages": ("tests/gateway/http/site/test_credit.py",),
    "gateway.payments.web": ("tests/gateway/roles/test_composition.py",),
    "gateway.payments.stripe_hook": ("tests/gateway/http/hooks/test_stripe.py",),
    "gateway.stores.opened": ("tests/gateway/test_access.py",),
    "gateway.watching.app": ("tests/gateway/test_apps.py",),
    "gateway.watching.build": ("tests/gateway/roles/test_serve.py",),
    "gateway.watching.speaker": ("tests/gateway/watching/test_viewers.py",),
    "gateway.supervision.app": ("tests/gateway/test_apps.py",),
    "gateway.supervision.personal_rows": ("tests/gateway/personal_data/test_taking_back.py",),
    "gateway.own_calls.app": ("tests/gateway/test_apps.py",),
    "gateway.buttons.tables": ("tests/gateway/buttons/test_store.py",),
    "accounts.not_personal": ("tests/gateway/test_data_map.py",),
    "accounts.stores.erasures": ("tests/money/test_erasure.py",),
    "billing.stores.freezes": (
        "tests/billing/stores/test_freezes.py",
        "tests/gateway/people/test_departure_store.py",
    ),
    "gateway.people.leaving": ("tests/gateway/http/site/test_leaving.py",),
    "gateway.app": ("tests/gateway/test_apps.py",),
    "gateway.webhooks.app": ("tests/gateway/test_apps.py",),
    "gateway.webhooks.pages": ("tests/gateway/http/site/test_webhooks.py",),
    "gateway.people.privacy": ("tests/gateway/http/site/test_privacy.py",),
    "gateway.stores.editors": ("tests/gateway/buttons/test_store.py",),
    "gateway.personal_data.erasing": (
        "tests/money/test_erasure.py",
        "tests/money/test_failed_refunds.py",
    ),
    "gateway.administration.leaving_accounts": ("tests/gateway/cli/test_departures.py",),
    "gateway.charging.account_erasure": (
        "tests/money/test_erasure.py",
        "tests/money/test_account_deletion.py",
    ),
    "gateway.charging.call_charge": (
        "tests/gateway/charging/test_call_charge.py",
        "tests/gateway/charging/test_hold.py",
    ),
    "gateway.charging.refilling": (
        "tests/money/test_restored_book.py",
        "tests/money/test_rolled_back_gate.py",
    ),
    "gateway.cli.check": ("tests/gateway/cli/test_app.py",),
    "gateway.cli.command": (
        "tests/gateway/cli/test_command.py",
        "tests/gateway/cli/test_app.py",
        "tests/gateway/cli/test_rates.py",
        "tests/gateway/roles/test_preflight.py",
    ),
    "gateway.cli.demo": ("tests/calls/test_shutdown.py",),
    "gateway.cli.drain": ("tests/gateway/roles/test_drainer_process.py",),
    "gateway.cli.process": ("tests/gateway/cli/test_process.py",),
    "gateway.cli.serve": ("tests/calls/test_shutdown.py",),
    "gateway.cli.settings": ("tests/gateway/test_imports.py",),
    "gateway.cli.simulate": ("tests/calls/test_whole_call.py",),
    "gateway.cli.simulate_mail": ("tests/gateway/cli/test_app.py",),
    "gateway.cli.simulate_payments": ("tests/calls/test_payments.py",),
    "gateway.http.principal": ("tests/gateway/http/test_holders.py",),
    "gateway.http.site.pages": ("tests/gateway/http/site/test_rendering.py",),
    "gateway.http.site.call_pages": ("tests/gateway/http/site/test_calls.py",),
    "gateway.http.site.design_pages": ("tests/gateway/http/site/test_design.py",),
    "gateway.http.site.landing_pages": ("tests/gateway/http/site/test_landing.py",),
    "gateway.http.site.rate_pages": ("tests/gateway/http/site/test_rates.py",),
    "gateway.knobs": ("tests/gateway/test_settings.py",),
    "gateway.payments.comparison": ("tests/gateway/payments/test_proof.py",),
    "gateway.payments.stripe_objects": ("tests/gateway/payments/test_stripe_client.py",),
    "gateway.roles.callbacks": ("tests/gateway/carriers/twilio/on_stage/test_webhooks.py",),
    "gateway.roles.child": ("tests/gateway/roles/test_demo.py",),
    "gateway.roles.console": ("tests/gateway/cli/test_rates.py",),
    "gateway.roles.drain": ("tests/gateway/roles/test_drainer_process.py",),
    "gateway.roles.periodic_tasks": ("tests/gateway/roles/test_composition.py",),
    "gateway.roles.media": (
        "tests/gateway/roles/test_serve.py",
        "tests/whole_calls/test_stories.py",
    ),
    "gateway.roles.fraud": ("tests/gateway/roles/test_composition.py",),
    "gateway.roles.membership": ("tests/gateway/roles/test_composition.py",),
    "gateway.roles.site": ("tests/gateway/test_access.py",),
    "gateway.own_keys": ("tests/gateway/people/test_keys.py",),
    "gateway.payments.build": ("tests/gateway/roles/test_composition.py",),
    "gateway.roles.preflight": (
        "tests/gateway/roles/test_preflight.py",
        "tests/gateway/roles/test_check.py",
    ),
    "gateway.roles.process": (
        "tests/gateway/roles/test_process.py",
        "tests/calls/test_shutdown.py",
    ),
    "gateway.roles.simulate": ("tests/calls/test_whole_call.py",),
    "gateway.roles.simulate_mail": (
        "tests/gateway/cli/test_app.py",
        "tests/gateway/roles/test_demo.py",
    ),
    "gateway.roles.simulate_payments": ("tests/calls/test_payments.py",),
    "gateway.roles.storage": (
        "tests/gateway/roles/test_storage.py",
        "tests/gateway/roles/test_preflight.py",
    ),
    "gateway.settings": (
        "tests/gateway/test_settings.py",
        "tests/gateway/roles/test_preflight.py",
    ),
    "gateway.stores.unnamed_proxy": ("tests/gateway/roles/test_unnamed_proxy.py",),
    "gateway.stores.people_transactions": (
        "tests/gateway/people/test_store.py",
        "tests/gateway/people/test_second_factor_store.py",
    ),
    "gateway.sockets.door": (
        "tests/gateway/sockets/test_door.py",
        "tests/gateway/sockets/test_front_protocol.py",
    ),
    "gateway.sockets.http_protocol": (
        "tests/gateway/sockets/test_http_protocol.py",
        "tests/gateway/sockets/test_one_port.py",
    ),
    "gateway.sound.echo": (
        "tests/gateway/sound/test_echo_call.py",
        "tests/gateway/sound/test_echo_check.py",
    ),
    "gateway.sound.report_counts": ("tests/gateway/sound/test_line_quality.py",),
    "gateway.carriers.twilio.reader": ("tests/gateway/carriers/twilio/test_pricing.py",),
    "gateway.webrtc.direct": ("tests/gateway/webrtc/test_native.py",),
    "gateway.webrtc.host": ("tests/gateway/webrtc/test_session.py",),
    "gateway.webrtc.udp": ("tests/gateway/webrtc/test_endpoint.py",),
    "simulators.carrier.callbacks": ("tests/simulators/carrier/test_line.py",),
    "simulators.carrier.clips": ("tests/simulators/carrier/test_callee.py",),
    "simulators.carrier.courier": ("tests/simulators/carrier/test_line.py",),
    "simulators.carrier.equipment": ("tests/simulators/carrier/test_control.py",),
    "simulators.carrier.faults": ("tests/simulators/carrier/test_settings.py",),
    "simulators.carrier.media_socket": ("tests/simulators/carrier/test_stream.py",),
    "simulators.carrier.numbers": ("tests/simulators/carrier/test_orders.py",),
    "simulators.carrier.recording": ("tests/simulators/carrier/test_callee.py",),
    "simulators.carrier.resources": ("tests/simulators/carrier/test_rest.py",),
    "simulators.carrier.scripts": ("tests/simulators/carrier/test_settings.py",),
    "simulators.carrier.service": ("tests/simulators/carrier/test_control.py",),
    "simulators.carrier.tariff": ("tests/simulators/carrier/test_listing.py",),
    "simulators.carrier.ticker": ("tests/simulators/carrier/test_stream.py",),
    "simulators.payments.access": ("tests/simulators/payments/test_rest.py",),
    "simulators.payments.schedule": ("tests/simulators/payments/test_registry.py",),
    "simulators.payments.clock": ("tests/simulators/payments/test_control.py",),
    "simulators.payments.faults": ("tests/simulators/payments/test_outbox.py",),
    "simulators.payments.hosted": (
        "tests/simulators/payments/test_hosted.py",
        "tests/simulators/payments/test_checkout.py",
    ),
    "simulators.payments.listing": ("tests/simulators/payments/test_rest.py",),
    "simulators.payments.pages": ("tests/simulators/payments/test_hosted.py",),
    "simulators.payments.settings": ("tests/simulators/payments/test_service.py",),
}
"""Modules whose tests have another name, or lie in several files: these prove what they promise."""

OF_PROCESSES = (
    "tests/calls/",
    "tests/gateway/cli/test_process.py",
    "tests/gateway/cli/test_setup.py",
    "tests/gateway/roles/test_drainer_process.py",
)
"""Tests that start whole processes, and see them from outside only."""

SIMULATIONS = ("tests/media/test_playout_simulation.py", "tests/media/test_stalls.py")
"""Tests of many modules together that take minutes, and are no module's own."""


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the modules that are shipped, but migrations, which are run and never imported."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            place = path.relative_to(ROOT).with_suffix("").as_posix()
            if "/migrations/" not in place and path.name != "__init__.py":
                yield place.replace("/", "."), path


def own_tests(module: str) -> tuple[str, ...]:
    """Return the test files of a module that exist, relative to the root."""
    if module in TESTED_BY:
        return TESTED_BY[module]
    folder, _, name = module.replace(".", "/").rpartition("/")
    folders = (folder, FOLDERS.get(folder, folder))
    paths = dict.fromkeys(f"tests/{folder}/test_{name}.py" for folder in folders)
    return tuple(path for path in paths if (ROOT / path).exists())
