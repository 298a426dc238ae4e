# SPDX-License-Identifier: Apache-2.0
"""Random C functions that tell whether their arguments arrived, for WebAssembly and for this machine alike.

A function mixes each argument, field by field, into a number, the digest, and builds its result out of that. So what a
call returns, and last_digest(), are the same wherever the function runs, if arguments and results are passed as C has
it. Nothing depends on the size of long or of pointers: values of such types fit into 32 bits.
"""

import random
import struct
from dataclasses import dataclass, field
from typing import Any

Value = Any  # int, float, complex, bool, str, None, list, or dict of a struct's fields


class Type:
    """c: as C spells it. native: as cffi's declarations do, which know no complex numbers."""

    c: str
    native: str

    def random(self, generator: random.Random) -> Value:
        raise NotImplementedError

    def digest(self, expression: str) -> str:
        """C statements that mix a value into the digest."""
        return f"mix((uint64_t){expression});"

    def build(self, target: str) -> str:
        """C statements that make a value from the digest."""
        raise NotImplementedError

    def plain(self, value: Value) -> Value:
        """A result of either side as something to compare."""
        return value

    def declare(self, name: str) -> str:
        return f"{self.c} {name}"


@dataclass(eq=False)
class Integer(Type):
    """bits: that values have here."""

    c: str
    bits: int
    signed: bool = True

    @property
    def native(self) -> str:  # type: ignore[override]
        return "int" if self.c == "wchar_t" else self.c  # cffi's is a str

    def random(self, generator: random.Random) -> int:
        least = -(1 << (self.bits - 1)) if self.signed else 0
        most = (1 << (self.bits - self.signed)) - 1
        return generator.choice([least, most, 0, 1, generator.randint(least, most), generator.randint(least, most)])

    def build(self, target: str) -> str:
        return f"{target} = ({self.c})({'' if self.signed else 'u'}int{self.bits}_t)next();"

    def plain(self, value: Value) -> int:
        return ord(value) if isinstance(value, bytes) else int(value)  # cffi's char is bytes


@dataclass(eq=False)
class Char(Integer):
    def plain(self, value: Value) -> int:
        number = ord(value) if isinstance(value, bytes) else int(value)
        return number - 256 if number > 127 else number


@dataclass(eq=False)
class Bool(Type):
    c: str = "_Bool"
    native: str = "_Bool"

    def random(self, generator: random.Random) -> bool:
        return generator.random() < 0.5

    def build(self, target: str) -> str:
        return f"{target} = next() & 1;"

    def plain(self, value: Value) -> bool:
        return bool(value)


@dataclass(eq=False)
class Enumeration(Type):
    """enum shade or enum depth: one without and one with negative members."""

    c: str
    members: tuple[int, ...]

    @property
    def native(self) -> str:  # type: ignore[override]
        return self.c

    def random(self, generator: random.Random) -> int:
        return generator.choice(self.members)

    def digest(self, expression: str) -> str:
        return f"mix((uint64_t)(int64_t)(int){expression});"

    def build(self, target: str) -> str:
        table = ", ".join(map(str, self.members))
        return f"{target} = ({self.c})((int[]){{{table}}})[next() % {len(self.members)}];"

    def plain(self, value: Value) -> int:
        return int(value)


@dataclass(eq=False)
class Real(Type):
    c: str

    @property
    def native(self) -> str:  # type: ignore[override]
        return self.c

    def random(self, generator: random.Random) -> float:
        code, count = ("f", 4) if self.c.startswith("float") else ("d", 8)
        while True:
            (value,) = struct.unpack(code, generator.randbytes(count))
            if value == value:  # not a NaN, whose bits nobody promises
                return float(generator.choice([value, value, 0.0, -0.0, 1.5, float("-inf")]))

    def digest(self, expression: str) -> str:
        return f"mix_real((double){expression});"

    def build(self, target: str) -> str:
        return f"{target} = ({self.c})((double)(int32_t)(next() >> 40) / 16 - 1e5);"

    def plain(self, value: Value) -> Value:
        value = float(value)
        return "-0.0" if str(value) == "-0.0" else value


@dataclass(eq=False)
class Complex(Type):
    part: Real

    @property
    def c(self) -> str:  # type: ignore[override]
        return f"{self.part.c} _Complex"

    @property
    def native(self) -> str:  # type: ignore[override]
        return f"struct {self.part.c.replace(' ', '_')}_complex"

    def random(self, generator: random.Random) -> complex:
        return complex(self.part.random(generator), self.part.random(generator))

    def digest(self, expression: str) -> str:
        return self.part.digest(f"__real__ {expression}") + self.part.digest(f"__imag__ {expression}")

    def build(self, target: str) -> str:
        return self.part.build(f"__real__ {target}") + self.part.build(f"__imag__ {target}")

    def plain(self, value: Value) -> Value:
        pair = (value.real, value.imag) if isinstance(value, complex) else (value.re, value.im)
        return tuple(self.part.plain(part) for part in pair)


@dataclass(eq=False)
class Text(Type):
    c: str = "const char *"
    native: str = "const char *"

    def random(self, generator: random.Random) -> str | None:
        return generator.choice([None, "", "plain", "ünïcödé", "x" * generator.randint(1, 300)])

    def digest(self, expression: str) -> str:
        return f"mix_text({expression});"

    def build(self, target: str) -> str:
        return f"{target} = texts[next() % 4];"

    def plain(self, value: Value) -> Value:
        return value


@dataclass(eq=False)
class Items(Type):
    """A pointer to three items, of which C reads all."""

    item: Type

    @property
    def c(self) -> str:  # type: ignore[override]
        return f"const {self.item.c} *"

    @property
    def native(self) -> str:  # type: ignore[override]
        return f"const {self.item.native} *"

    def random(self, generator: random.Random) -> list[Value]:
        return [self.item.random(generator) for _ in range(3)]

    def digest(self, expression: str) -> str:
        return "".join(self.item.digest(f"{expression}[{index}]") for index in range(3))


@dataclass(eq=False)
class Field:
    name: str
    type: Type
    length: int | None = None
    width: int | None = None

    @property
    def empty(self) -> bool:
        return isinstance(self.type, Record) and not self.type.fields

    def declare(self, native: bool) -> str:
        text = f"{self.type.native if native else self.type.c} {self.name}"
        return f"{text}[{self.length}];" if self.length else f"{text} : {self.width};" if self.width else f"{text};"

    def places(self, expression: str) -> list[str]:
        whole = f"{expression}.{self.name}"
        return [f"{whole}[{index}]" for index in range(self.length)] if self.length else [whole]

    def random(self, generator: random.Random) -> Value:
        if self.width:
            assert isinstance(self.type, Integer)
            return Integer("", self.width, self.type.signed).random(generator)
        return [self.type.random(generator) for _ in range(self.length)] if self.length else self.type.random(generator)

    def plain(self, value: Value) -> Value:
        if self.empty:
            return ()
        return (
            [self.type.plain(value[index]) for index in range(self.length)] if self.length else self.type.plain(value)
        )


@dataclass(eq=False)
class Record(Type):
    """A struct, or a union, of which the first field is the one that is used: it is the largest."""

    c: str
    fields: list[Field]

    @property
    def native(self) -> str:  # type: ignore[override]
        return self.c

    @property
    def used(self) -> list[Field]:
        return self.fields[:1] if self.c.startswith("union") else self.fields

    def define(self, native: bool = False) -> str:
        parts = [part for part in self.fields if not (native and part.empty)]  # cffi knows no empty structs
        return f"{self.c} {{ {' '.join(part.declare(native) for part in parts)} }};\n"

    def random(self, generator: random.Random) -> dict[str, Value]:
        return {part.name: part.random(generator) for part in self.used}

    def digest(self, expression: str) -> str:
        return "".join(part.type.digest(place) for part in self.used for place in part.places(expression))

    def build(self, target: str) -> str:
        return "".join(part.type.build(place) for part in self.used for place in part.places(target))

    def plain(self, value: Value) -> Value:
        return tuple(part.plain(None if part.empty else getattr(value, part.name)) for part in self.used)


class Void(Type):
    c = native = "void"

    def plain(self, value: Value) -> Value:
        return None


@dataclass
class Function:
    """extra: the types of the arguments for the ellipsis, as they are after promotion."""

    name: str
    result: Type
    parameters: list[Type]
    extra: list[Type] = field(default_factory=list)

    @property
    def arguments(self) -> list[Type]:
        return self.parameters + self.extra

    @property
    def prototype(self) -> str:
        parts = [of.declare(f"p{number}") for number, of in enumerate(self.parameters)] + ["..."] * bool(self.extra)
        return f"{self.result.declare(self.name)}({', '.join(parts) or 'void'})"

    @property
    def through(self) -> str:
        """The prototype of a function that calls another one with its own arguments."""
        types = ", ".join(of.c for of in self.parameters) or "void"
        parts = [f"{self.result.c} (*call)({types})"]
        parts += [of.declare(f"p{number}") for number, of in enumerate(self.parameters)]
        return f"{self.result.declare('through_' + self.name)}({', '.join(parts)})"

    def define(self) -> str:
        names = [f"p{number}" for number in range(len(self.arguments))]
        lines = ["digest = 14695981039346656037u;"]
        if self.extra:
            lines.append(f"va_list rest; va_start(rest, {names[len(self.parameters) - 1]});")
            for of, name in zip(self.extra, names[len(self.parameters) :], strict=True):
                lines.append(f"{of.declare(name)} = va_arg(rest, {of.c});")
            lines.append("va_end(rest);")
        lines += [of.digest(name) for of, name in zip(self.arguments, names, strict=True)]
        if not isinstance(self.result, Void):
            lines += ["uint64_t kept = digest;", f"{self.result.declare('result')};", self.result.build("result")]
            lines += ["digest = kept;", "return result;"]
        body = "\n    ".join(lines)
        return f"{self.prototype} {{\n    {body}\n}}\n"

    def define_through(self) -> str:
        names = ", ".join(f"p{number}" for number in range(len(self.parameters)))
        keyword = "" if isinstance(self.result, Void) else "return "
        return f"{self.through} {{ {keyword}call({names}); }}\n"

    def define_native(self) -> str:
        """Calls it with arguments that lie in memory: what libffi passes is not what is tested here."""
        loaded = ", ".join(f"*({of.c} *)arguments[{number}]" for number, of in enumerate(self.arguments))
        store = "" if isinstance(self.result, Void) else f"*({self.result.c} *)result = "
        return f"void native_{self.name}(void **arguments, void *result) {{ {store}{self.name}({loaded}); }}\n"


BEGINNING = """
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum shade { LIGHT, MIDDLE = 7, DARK = 70000 };
enum depth { DEEP = -70000, LEVEL = 0, HIGH = 3 };
static uint64_t digest;
static const char *const texts[] = {NULL, "", "one", "\\303\\244 two"};

static void mix(uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
        digest = (digest ^ (value >> shift & 255)) * 1099511628211u;
    }
}

static void mix_real(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    mix(bits);
}

static void mix_text(const char *text) {
    for (; text != NULL && *text != 0; text++) {
        mix((uint64_t)(unsigned char)*text);
    }
    mix(text == NULL);
}

static uint64_t next(void) {
    mix(1);
    return digest ^ digest >> 29;
}

uint64_t last_digest(void) { return digest; }
"""

INTEGERS: list[Type] = [
    Char("char", 8), Integer("signed char", 8), Integer("unsigned char", 8, False), Integer("short", 16),
    Integer("unsigned short", 16, False), Integer("int", 32), Integer("unsigned int", 32, False), Integer("long", 32),
    Integer("unsigned long", 32, False), Integer("long long", 64), Integer("unsigned long long", 64, False),
    Integer("size_t", 32, False), Integer("intptr_t", 32), Integer("int64_t", 64), Integer("uint8_t", 8, False),
    Integer("int16_t", 16), Integer("wchar_t", 32),
]  # fmt: skip
REALS: list[Type] = [Real("float"), Real("double"), Real("long double")]
COMPLEX: list[Type] = [Complex(Real("float")), Complex(Real("double")), Complex(Real("long double"))]
ENUMS: list[Type] = [Enumeration("enum shade", (0, 7, 70000)), Enumeration("enum depth", (-70000, 0, 3))]
SCALARS = [*INTEGERS, Bool(), *REALS, *COMPLEX, *ENUMS]
POINTERS: list[Type] = [Text(), *(Items(of) for of in (INTEGERS[5], REALS[0], REALS[1], INTEGERS[2], INTEGERS[9]))]
# What default promotions leave as it is.
PROMOTED: list[Type] = [INTEGERS[5], INTEGERS[6], INTEGERS[9], INTEGERS[10], REALS[1], REALS[2], *COMPLEX, *POINTERS]


@dataclass
class Signatures:
    records: list[Record]
    functions: list[Function]

    @property
    def declarations(self) -> str:
        """What both sides are declared to have."""
        names = "".join(f"{of.prototype};\n" for of in self.functions)
        names += "".join(f"{of.through};\n" for of in self.functions if not of.extra)
        types = BEGINNING[BEGINNING.index("enum shade") : BEGINNING.index("static uint64_t")]
        return f"{types}{''.join(of.define() for of in self.records)}{names}uint64_t last_digest(void);\n"

    @property
    def source(self) -> str:
        parts = [BEGINNING, *(of.define() for of in self.records)]
        for of in self.functions:
            parts += [of.define(), "" if of.extra else of.define_through(), of.define_native()]
        return "".join(parts)

    @property
    def native_declarations(self) -> str:
        """For cffi's cdef()."""
        types = BEGINNING[BEGINNING.index("enum shade") : BEGINNING.index("static uint64_t")]
        types += "".join(f"{of.native} {{ {of.part.c} re, im; }};\n" for of in COMPLEX if isinstance(of, Complex))
        types += "".join(of.define(native=True) for of in self.records if of.fields)
        calls = "".join(f"void native_{of.name}(void **arguments, void *result);\n" for of in self.functions)
        return f"{types}{calls}uint64_t last_digest(void);\n"


def make(seed: int = 7, functions: int = 300) -> Signatures:
    """Every type is passed and returned alone at least; the rest is chance."""
    generator = random.Random(seed)
    records = _records(generator)
    values = [*SCALARS, *records]
    made = [Function(f"alone{number}", of, [of]) for number, of in enumerate(values)]
    made += [Function(f"item{number}", Void(), [of]) for number, of in enumerate(POINTERS)]
    made += [Function("text", Text(), [Text(), INTEGERS[5]]), Function("nothing", Void(), [])]
    while len(made) < functions:
        count = generator.choice([0, 1, 2, 3, 3, 4, 5, 8, 12])
        choices = lambda: generator.choice(generator.choice([SCALARS, SCALARS, records, POINTERS]))  # noqa: E731
        result = generator.choice([Void(), Text(), generator.choice(SCALARS), generator.choice(records)])
        parameters = [choices() for _ in range(count)]
        if generator.random() < 0.2:
            extra = [generator.choice([*PROMOTED, *records]) for _ in range(generator.randint(1, 6))]
            parameters = [of for of in parameters if of not in INTEGERS[:5]] or [INTEGERS[5]]
            if not isinstance(parameters[-1], Integer) or parameters[-1].bits >= 32:
                made.append(Function(f"variadic{len(made)}", result, [*parameters, INTEGERS[5]], extra))
            continue
        made.append(Function(f"f{len(made)}", result, parameters))
    return Signatures(records, made)


def _records(generator: random.Random) -> list[Record]:
    records: list[Record] = []

    def add(*fields: Field, kind: str = "struct") -> Record:
        records.append(Record(f"{kind} r{len(records)}", list(fields)))
        return records[-1]

    char, int_, long_long = INTEGERS[0], INTEGERS[5], INTEGERS[9]
    float_, double, long_double = REALS
    add()  # empty
    for of in (char, INTEGERS[4], int_, long_long, Bool(), float_, double, long_double, *COMPLEX, *ENUMS):
        single = add(Field("a", of))
        if of in (int_, double, float_, long_double):
            add(Field("a", add(Field("a", single))))  # nested
            add(Field("a", of, length=1))
            add(Field("a", single, length=1))
            add(Field("nothing", records[0]), Field("a", of))
            add(Field("a", of, length=2))
    add(Field("a", int_, width=5))
    add(Field("a", int_, width=7), Field("b", INTEGERS[6], width=20), Field("c", long_long, width=40))
    add(Field("a", char), Field("b", INTEGERS[10], width=33), Field("c", INTEGERS[3], width=9), Field("d", double))
    add(Field("a", double), Field("b", int_), kind="union")
    add(Field("a", int_, length=4), Field("b", double), Field("c", char), kind="union")
    add(Field("a", float_), kind="union")
    add(Field("a", records[-1]))
    add(Field("a", double), Field("b", double))
    add(Field("a", char), Field("b", char))
    add(Field("a", int_, length=40), Field("b", char))
    while len(records) < 60:
        fields = []
        for number in range(generator.choice([1, 2, 2, 3, 4, 6])):
            of = generator.choice([*SCALARS, *SCALARS, *records])
            length = None if of is char else generator.choice([None, None, None, 1, 2, 3, 5])  # char[] is text
            fields.append(Field(f"f{number}", of, length=length))
        add(*fields)
    return records
