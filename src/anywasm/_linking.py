# SPDX-License-Identifier: Apache-2.0
"""What a LinkError says. The extension calls this when imports are missing or do not fit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ._core import ImportType, Module

    Problem = tuple[ImportType, object | None, object | None]  # wanted, what was given, its type

WASI = "wasi_snapshot_preview1"


def explain(module: Module, imports: Mapping[str, Any] | None, problems: Sequence[Problem]) -> str:
    """The message of a LinkError: a line for each import that is missing or does not fit."""
    lines = [line(wanted, given, given_type, imports or {}) for wanted, given, given_type in problems]
    if len(lines) == 1:
        text = f"import {lines[0]}"
    else:
        text = f"{len(lines)} imports are missing or do not fit:" + "".join(f"\n  {text}" for text in lines)
    if lacks_wasi(module, [wanted for wanted, _, _ in problems]):
        text += "\nWASI's functions come with the store: Store(engine, wasi=anywasm.Wasi())"
    return text


def lacks_wasi(module: Module, unresolved: Sequence[ImportType]) -> bool:
    """Is it WASI as a whole that is missing, and not a single function that there is none of?"""
    return any(wanted.module == WASI for wanted in unresolved) and all(
        wanted in unresolved for wanted in module.imports if wanted.module == WASI
    )


def line(wanted: ImportType, given: object, given_type: object, imports: Mapping[str, Any]) -> str:
    what = f"{wanted.module}.{wanted.name}: {described(wanted.kind, wanted.type)}"
    if given_type is not None:
        return f"{what} is wanted, {described(kind_of(given_type), given_type)} was given"
    if given is not None or is_there(imports, wanted):
        return f"{what} is wanted, {type(given).__name__} was given{remedy(wanted, given)}"
    return f"{what} is missing{hint(wanted, imports)}"


def described(kind: str, type: object) -> str:
    """The type's own text, such as "mutable global of i32"; a function's does not say that it is one."""
    text = str(type)
    return text if kind in text else f"{kind} {text}"


def kind_of(type: object) -> str:
    return type.__class__.__name__.removesuffix("Type").lower()  # FuncType -> func


def is_there(imports: Mapping[str, Any], wanted: ImportType) -> bool:
    try:
        return wanted.name in names_of(imports[wanted.module])
    except KeyError:
        return False


def names_of(namespace: Any) -> Sequence[str]:
    """The names in what stands for a module among imports: a mapping, or an Instance, whose exports are meant."""
    try:
        return list(getattr(namespace, "exports", namespace))
    except TypeError:  # neither: that is for the extension to say, if it matters
        return []


def remedy(wanted: ImportType, given: object) -> str:
    if wanted.kind == "global" and isinstance(given, (int, float)):
        return f": make it a Global({wanted.type!r}, {given!r}, store)"
    return ""


def hint(wanted: ImportType, imports: Mapping[str, Any]) -> str:
    """What may have been meant by an import that is missing: the name elsewhere, or one like it."""
    names = {module: names_of(namespace) for module, namespace in imports.items()}
    near = (
        [f"{module}.{wanted.name}" for module in names if wanted.name in names[module]]
        or [f"{wanted.module}.{name}" for name in nearest(wanted.name, names.get(wanted.module, ()))]
        or nearest(f"{wanted.module}.{wanted.name}", (f"{m}.{n}" for m in names for n in names[m]), cutoff=0.8)
    )
    return did_you_mean(near)


def near_miss(name: str, names: Iterable[str]) -> str:
    """What to append to the message that there is no *name*: ", did you mean 'add'?", or nothing."""
    return did_you_mean(nearest(name, names))


def did_you_mean(near: Sequence[str]) -> str:
    return f", did you mean {near[0]!r}?" if near else ""


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, [other for other in names if isinstance(other, str)], 1, cutoff)
