"""Apps: what each brings is where the parts of a gateway look for it."""

from importlib import import_module, resources

import pytest

from gateway.apps import APPS, personal_rows
from gateway.data_map import KINDS
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
    for heading, apis in app.apis().items():
        before = [api for each in APPS[: APPS.index(app)] for api in each.apis().get(heading, ())]
        # Apps come in their order, and classes of no app follow.
        assert GROUPS[heading][: len(before) + len(apis)] == (*before, *apis)
        assert all(list(operations_of(api)) for api in apis)
        own = [each.name for api in (*before, *apis) for each in operations_of(api)]
        listed = [each.name for group, each in operations() if group == heading]
        assert listed[: len(own)] == own


@pytest.mark.parametrize(
    "app", [app for app in APPS if app.page_types is not None], ids=lambda app: app.name
)
def test_each_page_has_its_template_in_the_apps_folder(app):
    templates = resources.files(app.package) / "templates"
    texts = {each.name: each.read_text("utf-8") for each in templates.iterdir()}
    # A template that others take parts from is no page.
    shared = {name for name in texts if f'import "{name}"' in " ".join(texts.values())}
    assert {page.template for page in app.page_types()} == texts.keys() - shared


@pytest.mark.parametrize(
    "app", [app for app in APPS if app.personal_rows is not None], ids=lambda app: app.name
)
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
    assert list(personal_rows()) == [app.name for app in APPS if app.personal_rows is not None]
    assert len({app.name for app in APPS}) == len(APPS)
    classes = [api for apis in GROUPS.values() for api in apis]
    assert len(set(classes)) == len(classes)
    assert {heading for app in APPS for heading in app.apis()} <= GROUPS.keys()
