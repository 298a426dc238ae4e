# SPDX-License-Identifier: Apache-2.0
"""Random structs and unions, and the C that tells how the compiler lays them out."""

import random
from dataclasses import dataclass

SCALARS = [
    "char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned int", "long", "unsigned long",
    "long long", "unsigned long long", "_Bool", "float", "double", "long double", "float _Complex", "double _Complex",
    "void *", "char *", "int (*)(int)", "enum shade",
]  # fmt: skip
BITS = {
    "char": 8, "unsigned char": 8, "short": 16, "unsigned short": 16, "int": 32, "unsigned int": 32, "long": 32,
    "unsigned long": 32, "long long": 64, "unsigned long long": 64, "_Bool": 1, "enum shade": 32,
}  # fmt: skip


@dataclass
class Record:
    """text: its declaration. names: of the fields, with those of anonymous structs. bit_fields: which of them are."""

    tag: str
    text: str
    names: list[str]
    bit_fields: list[str]


def records(count: int, seed: int) -> list[Record]:
    """Each may have the ones before it as fields."""
    generator = random.Random(seed)
    found: list[Record] = []
    for number in range(count):
        found.append(_Maker(generator, found, number).make())
    return found


class _Maker:
    def __init__(self, generator: random.Random, before: list[Record], number: int) -> None:
        self.random = generator
        self.before = before
        self.kind = generator.choices(["struct", "union"], [4, 1])[0]
        self.tag = f"{self.kind} r{number}"
        self.names: list[str] = []
        self.bit_fields: list[str] = []
        self.next = 0
        self.dense = False  # packed: a bit-field may begin within a byte, and has to fit into 8

    def make(self) -> Record:
        chance = self.random.random
        packed = chance() < 0.25
        pack = self.random.choice([1, 2, 4, 8]) if not packed and chance() < 0.15 else 0
        self.dense = packed or pack > 0
        attributes = ["packed"] * packed + [f"aligned({self.random.choice([1, 2, 4, 8, 16, 32])})"] * (chance() < 0.1)
        attribute = f" __attribute__(({', '.join(attributes)}))" if attributes else ""
        head, tail = (attribute, "") if chance() < 0.5 else ("", attribute)
        keyword, name = self.tag.split()
        body = "".join(f"    {line}\n" for line in self.fields(self.random.choice([1, 2, 3, 4, 5, 8]), 0))
        if self.kind == "struct" and self.names and chance() < 0.1:
            body += f"    {self.random.choice(['short', 'double', 'char'])} tail[];\n"
        text = f"{keyword}{head} {name} {{\n{body}}}{tail};\n"
        if pack:
            text = f"#pragma pack(push, {pack})\n{text}#pragma pack(pop)\n"
        return Record(self.tag, text, self.names, self.bit_fields)

    def fields(self, count: int, depth: int) -> list[str]:
        bits = self.random.random() < 0.5  # bit-fields like company
        return [self.field(bits, depth) for _ in range(count)]

    def field(self, bits: bool, depth: int) -> str:
        chance = self.random.random
        if bits and chance() < 0.8:
            of = self.random.choice(list(BITS))
            if chance() < 0.12:
                return f"{of} : {self.random.choice([0, self.random.randint(1, BITS[of])])};"
            name = self.name()
            self.bit_fields.append(name)
            return f"{of} {name} : {self.random.randint(1, min(BITS[of], 57) if self.dense else BITS[of])};"
        if depth < 2 and chance() < 0.12:
            kind = self.random.choice(["struct", "union"])
            packed = chance() < 0.2
            outer, self.dense = self.dense, self.dense or packed
            inner = " ".join(self.fields(self.random.randint(1, 3), depth + 1))
            self.dense = outer
            return f"{kind} {{ {inner} }}{' __attribute__((packed))' * packed};"
        align = "_Alignas(32) " if chance() < 0.04 else ""
        packed = " __attribute__((packed))" if chance() < 0.06 else ""
        array = "".join(f"[{self.random.randint(1, 5)}]" for _ in range(self.random.choice([0, 0, 0, 0, 1, 2])))
        usable = [record for record in self.before[-30:] if "tail[]" not in record.text]
        if usable and chance() < 0.2:
            of = self.random.choice(usable)
            array = "[2]" if array and "aligned(" not in of.text else ""  # else the items could not be aligned
            return f"{align}{of.tag} {self.name()}{array}{packed};"
        scalar = self.random.choice(SCALARS)
        name = self.name() + array
        declared = scalar.replace("(*)", f"(*{name})") if "(*)" in scalar else f"{scalar} {name}"
        return f"{align}{declared}{packed};"

    def name(self) -> str:
        self.next += 1
        self.names.append(f"f{self.next}")
        return f"f{self.next}"


SHADE = "enum shade { LIGHT, DARK };\n"


def declarations(made: list[Record]) -> str:
    return SHADE + "".join(record.text for record in made)


def probe(made: list[Record]) -> str:
    """C with a table of sizes, alignments and offsets, and a function that sets a bit-field."""
    numbers: list[str] = []
    cases: list[str] = []
    for record in made:
        numbers += [f"sizeof({record.tag})", f"_Alignof({record.tag})"]
        for name in record.names:
            if name in record.bit_fields:
                number = len(cases)
                cases.append(f"case {number}: (({record.tag} *)place)->{name} = -1; break;")
            else:
                numbers.append(f"__builtin_offsetof({record.tag}, {name})")
    return f"""
{declarations(made)}
__attribute__((export_name("numbers"))) const unsigned *get_numbers(void) {{
    static const unsigned numbers[] = {{{", ".join(numbers)}}};
    return numbers;
}}
__attribute__((export_name("place"))) void *get_place(void) {{
    static _Alignas(64) char place[1 << 16];
    return place;
}}
__attribute__((export_name("set"))) void set(void *place, int which) {{
    switch (which) {{
    {" ".join(cases)}
    }}
}}
"""
