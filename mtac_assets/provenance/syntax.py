"""One Python file as the fingerprint sees it: a digest per function, and the names that it imports.

Belongs here: what of a source file counts. Comments, formatting and docstrings do not, for the interpreter runs the same
without them. Annotations do count: dataclasses, pydantic and `singledispatch` act on them.
Does not belong here: where the imported names lead (see `closure`).
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

MODULE = "<module>"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (ast.Module, ast.ClassDef, *_FUNCTIONS)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What one file contributes: `leaves` maps a qualified name to its digest; `imports` are candidate dotted names.

    A name in `imports` may be a module or an attribute of one; `relative` names carry the number of leading dots.
    """

    leaves: dict[str, str]
    imports: tuple[str, ...]


def read_source(source: bytes, filename: str) -> SourceFile:
    """Digest `source`, function by function. Raises SyntaxError where it is no Python.

    A class is cut into its methods and the rest of its body; the module into its functions, classes and the rest.
    A definition whose place in the file can matter (decorated, with a computed default, bound twice) leaves a mark with
    its name in the rest, so that changing the order of such definitions changes the rest; moving a plain function does not.
    """
    tree = ast.parse(source, filename=filename)
    imports = tuple(sorted(set(_imports(tree))))
    _strip_docstrings(tree)
    leaves: dict[str, str] = {}
    _cut(tree, "", leaves)
    return SourceFile(leaves, imports)


def _cut(scope: ast.Module | ast.ClassDef, prefix: str, leaves: dict[str, str]) -> None:
    bound = _bound_names(scope)
    rest: list[ast.stmt | str] = []
    for statement in scope.body:
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)) and bound[statement.name] == 1:
            name = prefix + statement.name
            if isinstance(statement, ast.ClassDef):
                _cut(statement, f"{name}.", leaves)
                rest.append(f"class {statement.name}")
            else:
                leaves[name] = _digest(statement)
                if not _is_plain(statement) or isinstance(scope, ast.ClassDef):
                    rest.append(f"def {statement.name}")
        else:
            rest.append(statement)
    if isinstance(scope, ast.Module):
        leaves[MODULE] = _digest(*rest)
    else:
        head = [*scope.decorator_list, *scope.bases, *scope.keywords, *getattr(scope, "type_params", [])]
        leaves[prefix.removesuffix(".")] = _digest(*head, "body", *rest)


def _is_plain(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    defaults = [*function.args.defaults, *function.args.kw_defaults]
    return not function.decorator_list and all(
        default is None or isinstance(default, ast.Constant) for default in defaults
    )


def _bound_names(scope: ast.Module | ast.ClassDef) -> Counter[str]:
    """How often each name is bound in `scope` itself, at any depth that does not open a scope of its own."""
    names: Counter[str] = Counter()
    pending: list[ast.AST] = list(scope.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names[node.name] += 1
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names[node.id] += 1
        elif isinstance(node, ast.alias):
            names[(node.asname or node.name).split(".")[0]] += 1
        pending.extend(ast.iter_child_nodes(node))
    return names


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.Pass())


def _digest(*parts: ast.AST | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        text: list[str] = []
        if isinstance(part, str):
            text.append(part)
        else:
            _normal_form(part, text)
        digest.update("".join(text).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def _normal_form(value: object, out: list[str]) -> None:
    """The tree as text, without positions and without empty fields, so that newer Pythons with new fields agree."""
    if isinstance(value, ast.Constant):
        out.append(f"{type(value.value).__name__}={value.value!r}")
    elif isinstance(value, ast.AST):
        out.append(f"{type(value).__name__}(")
        for field, child in ast.iter_fields(value):
            if child is not None and child != []:
                out.append(f"{field}:")
                _normal_form(child, out)
        out.append(")")
    elif isinstance(value, list):
        out.append("[")
        for child in cast("list[object]", value):
            _normal_form(child, out)
            out.append(",")
        out.append("]")
    else:
        out.append(repr(value))


def _imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names that running `tree` may import, also inside functions; blocks under TYPE_CHECKING never run."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            separator = "" if base.endswith(".") else "."
            for alias in node.names:
                yield base if alias.name == "*" else f"{base}{separator}{alias.name}"
        elif isinstance(node, ast.Call) and _is_import_call(node.func) and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield target.value
        pending.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_import_call(function: ast.expr) -> bool:
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    return name in {"import_module", "__import__"}
