"""Apps: what each brings is where the parts of a gateway look for it."""

from importlib import import_module, resources

import pytest

from accounts.data_map import KINDS
from gateway.apps import APPS, personal_rows
from gateway.http.operation import operations_of
from gateway.openapi import GROUPS, operations
from gateway.personal_data.retention import sweeps
from gateway.personal_data.rows import TABLES

each_app = pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)


@each_app
def test_an_app_is_a_folder_that_is_named_like_it(app):
    assert import_module(app.package).__doc__
    assert import_module(f"{app.package}.app")


@each_app
def test_operations_are_in_the_document_under_the_apps_heading(app):
    assert GROUPS[app.heading] == tuple(app.apis())
    listed = {each.name for group, each in operations() if group == app.heading}
    assert listed == {each.name for api in app.apis() for each in operations_of(api)}
    assert listed


@each_app
def test_each_page_has_its_template_in_the_apps_folder(app):
    templates = resources.files(app.package) / "templates"
    assert {page.template for page in app.page_types()} == {
        each.name for each in templates.iterdir()
    }


@each_app
def test_what_is_stored_of_people_is_mapped_exported_and_forgotten_in_time(app):
    rows = app.personal_rows()
    mapped = {columns.table for kind in KINDS for columns in kind.sql}
    for table in rows.tables:
        assert table.name in mapped
        assert TABLES[table.name] is table
    assert rows.order.keys() <= {table.name for table in rows.tables}
    assert rows.outdated.keys() <= {kind.name for kind in KINDS}
    assert rows.outdated.keys() <= sweeps().keys()


def test_names_are_not_shared():
    assert list(personal_rows()) == [app.name for app in APPS]
    assert len({app.name for app in APPS}) == len({app.heading for app in APPS}) == len(APPS)
