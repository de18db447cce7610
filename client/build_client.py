"""Builds the client's shapes and operations from the API's document.

Answers may have words that the document does not know yet, so that theirs are plain text; those of
requests are literals.

The document is that of the gateway's source tree around this folder; as a program this builds from
it into its own tree. An sdist of the client has no such tree around it, and carries what was built.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import keyword
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

RUFF: Final = "ruff>=0.14,<0.18"
"""Formats what is written, and leaves out imports that nothing needs."""

_NOTE: Final = '"""{}\n\nBuilt from the document of the API: `client/build_client.py`.\n"""\n'
_UNSET: Final = "msgspec.UNSET"
_PLAIN: Final = {
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "string": "str",
}
_FORMATS: Final = {"date-time": "datetime", "date": "date"}
_WIDTH: Final = 96
_STREAM: Final = "text/event-stream"
_END: Final = "end"
"""Event that ends a stream."""


class ClientModules:
    """The modules of one source tree that follow from the document."""

    def __init__(self, folder: Path) -> None:
        self._package = folder / "caller_client"
        self._document = _document_of(folder.parent)

    def dependencies(self) -> list[str]:
        """Return what this build needs besides hatchling."""
        if self._document is None:
            return []
        # Of a document that is still to be made nobody knows yet whether the client fits it.
        if needed := self._document.dependencies():
            return [*needed, RUFF]
        return [] if self._is_fresh() else [RUFF]

    def build(self) -> None:
        """Write the modules, unless those that are there came from this very document."""
        if self._document is None:
            return
        self._document.build()
        if self._is_fresh():
            return
        client = Client(json.loads(self._document.path.read_bytes()))
        mark = self._mark()
        for name, source in (("shapes", client.shapes()), ("operations", client.operations())):
            (self._package / f"{name}.py").write_text(f"{mark}\n{source}", encoding="utf-8")

    def _is_fresh(self) -> bool:
        mark = self._mark()
        files = [self._package / f"{name}.py" for name in ("shapes", "operations")]
        return all(file.exists() and _first_line(file) == mark for file in files)

    def _mark(self) -> str:
        """Return the first line of each module: what it was made from, and by what."""
        assert self._document is not None
        made_from = self._document.path.read_bytes() + Path(__file__).read_bytes()
        return f"# Made from sha256 {hashlib.sha256(made_from).hexdigest()}."


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8") as text:
        return text.readline().rstrip("\n")


def _document_of(root: Path) -> Any:
    """Return the build of the document of the gateway's tree, None where there is none."""
    path = root / "deploy/build_api.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.exists() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ApiDocument(root)


def formatted(source: str) -> str:
    """Return source as ruff writes it."""
    # S603: the command is ours, and the source comes by a pipe.
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--fix-only", "-q"], ["format"]):
        done = subprocess.run(  # noqa: S603
            [*ruff, *command, "--stdin-filename", "client/caller_client/generated.py", "-"],
            input=source.encode(),
            capture_output=True,
            check=True,
        )
        source = done.stdout.decode()
    return source


class Client:
    """The client of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._paths = document["paths"]
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        bodies = [told["requestBody"] for _, _, told in self._operations() if "requestBody" in told]
        self._asked = self._reached([_schema_in(each) for each in bodies])

    def shapes(self) -> str:
        """Return the module of the shapes."""
        parts = [
            _NOTE.format("Defines what the API is asked with, and what it answers."),
            "from __future__ import annotations\n",
            "from datetime import date, datetime\nfrom typing import Any, Literal\n",
            "import msgspec\n",
        ]
        # What is not an object stands for another type, and is defined before it is used.
        names = sorted(self._schemas, key=lambda name: ("properties" in self._schemas[name], name))
        return formatted("\n".join([*parts, *map(self._shape, names)]))

    def operations(self) -> str:
        """Return the module of the operations."""
        parts = [
            _NOTE.format("Asks for every operation of the API, by a method each."),
            "from __future__ import annotations\n",
            "from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator",
            "from datetime import date, datetime\nfrom typing import Any, Literal, cast",
            "from uuid import uuid4\n",
            "import msgspec\n",
            "from caller_client import shapes",
            "from caller_client.exchange import Wish",
            "from caller_client.transport import AsyncTransport, Transport\n\n",
        ]
        for name, parent in (("Caller", "Transport"), ("AsyncCaller", "AsyncTransport")):
            parts += [f"class {name}({parent}):", '    """The operations of a gateway."""\n']
            for method, path, told in self._operations():
                parts += self._operation(method, path, told, is_async=name != "Caller")
            parts.append("")
        return formatted("\n".join(parts))

    def _operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for path, methods in self._paths.items():
            for method, told in methods.items():
                yield method.upper(), path, told

    def _reached(self, schemas: list[Any]) -> set[str]:
        """Return the names of all shapes that schemas are made of."""
        reached: set[str] = set()
        while schemas:
            match schemas.pop():
                case {"$ref": str(reference)} if (name := _name(reference)) not in reached:
                    reached.add(name)
                    schemas.append(self._schemas[name])
                case dict() as schema:
                    schemas += schema.values()
                case list() as several:
                    schemas += several
        return reached

    def _shape(self, name: str) -> str:
        schema, is_asked = self._schemas[name], name in self._asked
        description = schema.get("description", "")
        if "properties" not in schema and schema.get("type") != "object":
            kind = self._type(schema, is_asked=is_asked, prefix="")
            return f"{name} = {kind}\n{_docstring(description, 0)}\n"
        words = _docstring(description, 4)
        lines = [f"class {name}(msgspec.Struct, kw_only=True):", f"    {words}"]
        needed = schema.get("required", ())
        for field, told in schema.get("properties", {}).items():
            kind = self._type(told, is_asked=is_asked, prefix="")
            if field in needed:
                lines.append(f"    {field}: {kind}")
            elif is_asked:
                # What is left out is as the gateway has it.
                lines.append(f"    {field}: {kind} | msgspec.UnsetType = {_UNSET}")
            else:
                lines.append(f"    {field}: {kind} = {_default(told)}")
            if "description" in told:
                lines.append(f"    {_docstring(told['description'], 4)}")
        return "\n".join(lines) + "\n"

    def _type(self, schema: Mapping[str, Any], *, is_asked: bool, prefix: str) -> str:
        def inner(each: Mapping[str, Any]) -> str:
            return self._type(each, is_asked=is_asked, prefix=prefix)

        match schema:
            case {"$ref": reference}:
                kind = prefix + _name(reference)
            case {"anyOf": choices}:
                kind = " | ".join(map(inner, choices))
            case {"enum": values}:
                kind = f"Literal[{', '.join(map(repr, values))}]" if is_asked else "str"
            case {"prefixItems": [first, *_]} | {"type": "array", "items": dict() as first}:
                kind = f"list[{inner(first)}]"
            case {"type": "object", "additionalProperties": dict() as values}:
                kind = f"dict[str, {inner(values)}]"
            case {"type": "object"}:
                kind = "dict[str, Any]"
            case {"type": "string", "format": str(form)}:
                kind = _FORMATS[form]
            case _:
                kind = _PLAIN[schema["type"]]
        return kind

    def _operation(
        self, method: str, path: str, told: Mapping[str, Any], *, is_async: bool
    ) -> Iterator[str]:
        name = told["operationId"]
        needed, optional, wish = self._arguments(told)
        (status, answer), *_ = told["responses"].items()
        given = ", ".join(["self", *(["*"] if needed or optional else []), *needed, *optional])
        words = _docstring(" ".join(filter(None, (told["summary"], told.get("description")))), 8)
        if _STREAM in answer.get("content", {}):
            wish.insert(0, f'"{method}", "{path}"')
            yield from self._stream(name, answer, given, words, wish, is_async=is_async)
            return
        schema = _schema_in(answer)
        choices = schema.get("anyOf", [schema]) if schema else []
        types = [self._type(each, is_asked=False, prefix="shapes.") for each in choices]
        returns = " | ".join(types) or "None"
        wish += [] if status == "200" else [f"status={status}"]
        wish.insert(0, f'"{method}", "{path}"' + (f", ({', '.join(types)},)" if types else ""))
        made = f"Wish({', '.join(wish)})"
        yield f"    {'async ' if is_async else ''}def {name}({given}) -> {returns}:"
        yield f"        {words}"
        asked = f"{'await ' if is_async else ''}self.ask({made})"
        yield f"        return cast('{returns}', {asked})\n" if types else f"        {asked}\n"
        if any(each["name"] == "before" for each in told.get("parameters", ())):
            yield from self._pages(name, types[0], needed, optional, made, is_async=is_async)

    def _stream(
        self,
        name: str,
        answer: Mapping[str, Any],
        given: str,
        words: str,
        wish: Sequence[str],
        *,
        is_async: bool,
    ) -> Iterator[str]:
        events = {
            event: self._type(schema, is_asked=False, prefix="shapes.")
            for event, schema in answer["content"][_STREAM]["x-events"].items()
        }
        # The one that ends a stream becomes the refusal that it stands for.
        items = " | ".join(shape for event, shape in events.items() if event != _END)
        # Generators, so that who has seen enough can close them.
        kind = f"AsyncGenerator[{items}, None]" if is_async else f"Generator[{items}, None, None]"
        listed = ", ".join(f'"{event}": {shape}' for event, shape in events.items())
        yield f"    def {name}({given}) -> {kind}:"
        yield f"        {words}"
        yield f"        return self.watch(Wish({', '.join(wish)}, events={{{listed}}}))\n"

    def _pages(
        self,
        name: str,
        page: str,
        needed: Sequence[str],
        optional: Sequence[str],
        made: str,
        *,
        is_async: bool,
    ) -> Iterator[str]:
        fields = self._schemas[page.removeprefix("shapes.")]["properties"]
        (items,) = (field for field, told in fields.items() if told.get("type") == "array")
        item = self._type(fields[items]["items"], is_asked=False, prefix="shapes.")
        others = [each for each in optional if not each.startswith(("before:", "limit:"))]
        given = ", ".join(["self", *(["*"] if needed or others else []), *needed, *others])
        iterator = "AsyncIterator" if is_async else "Iterator"
        made = made.replace("'limit': limit", "'limit': 200")
        yield f"    def {name.replace('list_', 'iter_', 1)}({given}) -> {iterator}[{item}]:"
        yield f'        """Yield what `{name}` returns, page after page."""'
        yield f"        return self.pages(lambda before: {made}, '{items}')\n"

    def _arguments(self, told: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
        """Return the arguments that are needed, those that are not, and what a wish is made of."""
        needed: list[str] = []
        optional: list[str] = []
        parts: list[str] = []
        query: list[str] = []
        wish: list[str] = []
        for each in told.get("parameters", ()):
            name, kind = each["name"], self._type(each["schema"], is_asked=True, prefix="shapes.")
            if each["in"] == "header":
                optional.append("idempotency_key: str = ''")
                # Of its own for each call, so that what is sent again here is made once.
                wish.append("idempotency_key=idempotency_key or uuid4().hex")
                continue
            (parts if each["in"] == "path" else query).append(f"'{name}': {name}")
            if each["required"]:
                needed.append(f"{name}: {kind}")
            else:
                optional.append(f"{name}: {kind} | None = None")
        if "requestBody" in told:
            shape = _name(_schema_in(told["requestBody"])["$ref"])
            schema, passed = self._schemas[shape], []
            for name, field in schema["properties"].items():
                kind = self._type(field, is_asked=True, prefix="shapes.")
                passed.append(f"{name}={name}")
                if name in schema.get("required", ()):
                    needed.append(f"{name}: {kind}")
                else:
                    optional.append(f"{name}: {kind} | msgspec.UnsetType = {_UNSET}")
            wish.append(f"body=shapes.{shape}({', '.join(passed)})")
        wish += [f"parts={{{', '.join(parts)}}}"] if parts else []
        wish += [f"query={{{', '.join(query)}}}"] if query else []
        return needed, optional, wish


def _schema_in(told: Mapping[str, Any]) -> Mapping[str, Any]:
    for each in told.get("content", {}).values():
        schema: Mapping[str, Any] = each["schema"]
        return schema
    return {}


def _name(reference: str) -> str:
    name = reference.rpartition("/")[2]
    assert not keyword.iskeyword(name), name
    return name


def _default(schema: Mapping[str, Any]) -> str:
    """Return the default of a field of an answer: a list is made anew."""
    value = schema.get("default")
    return "msgspec.field(default_factory=list)" if value == [] else repr(value)


def _docstring(text: str, indent: int) -> str:
    """Return a text as a docstring: its first sentence, and the rest below."""
    summary, _, rest = text.replace("\\", "\\\\").partition(". ")
    if not rest:
        summary = f"{summary} " if summary.endswith('"') else summary
        return f'"""{summary}"""'
    lines = [f'"""{summary}.', ""]
    lines += textwrap.wrap(rest, _WIDTH - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join([*lines, '"""'])


if __name__ == "__main__":
    ClientModules(Path(__file__).parent).build()
