# SPDX-License-Identifier: Apache-2.0
"""The types that are there before anything is declared: C's own, and those of its standard headers."""

from __future__ import annotations

from functools import lru_cache

from anywasm._core import CType

_INTEGERS = {"short": 2, "int": 4, "long": 0, "long long": 8}  # bytes; 0: as large as a pointer

# Names of the standard headers, as wasi-libc defines them.
_NAMES = {
    "int8_t": "signed char", "int16_t": "short", "int32_t": "int", "int64_t": "long long",
    "uint8_t": "unsigned char", "uint16_t": "unsigned short", "uint32_t": "unsigned int",
    "uint64_t": "unsigned long long",
    "int_least8_t": "signed char", "int_least16_t": "short", "int_least32_t": "int", "int_least64_t": "long long",
    "uint_least8_t": "unsigned char", "uint_least16_t": "unsigned short", "uint_least32_t": "unsigned int",
    "uint_least64_t": "unsigned long long",
    "int_fast8_t": "signed char", "int_fast16_t": "int", "int_fast32_t": "int", "int_fast64_t": "long long",
    "uint_fast8_t": "unsigned char", "uint_fast16_t": "unsigned int", "uint_fast32_t": "unsigned int",
    "uint_fast64_t": "unsigned long long",
    "intmax_t": "long long", "uintmax_t": "unsigned long long", "intptr_t": "long", "uintptr_t": "unsigned long",
    "size_t": "unsigned long", "ssize_t": "long", "ptrdiff_t": "long", "wchar_t": "int", "wint_t": "unsigned int",
    "char16_t": "unsigned short", "char32_t": "unsigned int", "time_t": "long long", "clock_t": "long long",
    "off_t": "long long", "suseconds_t": "long long", "useconds_t": "unsigned int", "pid_t": "int",
    "uid_t": "unsigned int", "gid_t": "unsigned int", "mode_t": "unsigned int",
    "dev_t": "unsigned long long", "ino_t": "unsigned long long",
    "nlink_t": "unsigned long long", "blksize_t": "long", "blkcnt_t": "long long", "sig_atomic_t": "int",
    "socklen_t": "unsigned int", "sa_family_t": "unsigned short",
}  # fmt: skip


@lru_cache(maxsize=None)
def basic_types(pointer_size: int = 4) -> dict[str, CType]:
    """Types by C's spelling of them: "unsigned long", "double _Complex", "size_t". Not to be changed."""
    types = {
        "void": CType.scalar("void", "void", 0),
        "_Bool": CType.scalar("bool", "_Bool", 1),
        "char": CType.scalar("char", "char", 1, signed=True),
        "signed char": CType.scalar("integer", "signed char", 1, signed=True),
        "unsigned char": CType.scalar("integer", "unsigned char", 1),
    }
    for name, size in _INTEGERS.items():
        types[name] = CType.scalar("integer", name, size or pointer_size, signed=True)
        types[f"unsigned {name}"] = CType.scalar("integer", f"unsigned {name}", size or pointer_size)
    for name, size in {"float": 4, "double": 8, "long double": 16}.items():
        types[name] = CType.scalar("float", name, size)
        types[f"{name} _Complex"] = CType.scalar("complex", f"{name} _Complex", 2 * size, size)
    for name, base in _NAMES.items():
        of = types[base]
        types[name] = CType.scalar("integer", name, of.size or 0, signed=of.signed)
    types["bool"] = types["_Bool"]
    types["va_list"] = types["__builtin_va_list"] = CType.pointer(types["void"], size=pointer_size)
    return types


@lru_cache(maxsize=None)
def specifiers() -> dict[tuple[str, ...], str]:
    """C's own types by the words that spell one, sorted: ("int", "long", "unsigned") is "unsigned long"."""
    found: dict[tuple[str, ...], str] = {
        ("void",): "void",
        ("_Bool",): "_Bool",
        ("char",): "char",
        ("char", "signed"): "signed char",
        ("char", "unsigned"): "unsigned char",
        ("signed",): "int",
        ("unsigned",): "unsigned int",
    }
    for name in _INTEGERS:
        for sign in ("", "signed", "unsigned"):
            for extra in ("", "int"):
                words = {*name.split(), sign, extra} - {""}
                spelled = sorted([*words, "long"] if name == "long long" else words)
                found[tuple(spelled)] = f"unsigned {name}" if sign == "unsigned" else name
    for real in ("float", "double", "long double"):
        found[tuple(sorted(real.split()))] = real
        found[tuple(sorted([*real.split(), "_Complex"]))] = f"{real} _Complex"
    found["_Complex",] = "double _Complex"
    return found
