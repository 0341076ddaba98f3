# SPDX-License-Identifier: GPL-2.0-or-later
"""Which function, struct or variable a name means."""

from __future__ import annotations

from reviewbot.locking.symbols import (
    FunctionRef,
    MemorySymbols,
    resolve_function,
    resolve_struct,
    resolve_variable,
)
from tests.locking.support import Kernel


def test_the_nearest_struct_is_meant() -> None:
    header, other, public = (f"struct x {{ struct mutex {name}; }};\n" for name in ("m", "n", "o"))
    kernel = Kernel({"drivers/a/a.h": header, "drivers/b/b.h": other, "include/linux/x.h": public})

    def file_of(path: str) -> str:
        found = resolve_struct("struct x", path, kernel.symbols)
        assert found is not None
        return found.file

    assert file_of("drivers/a/main.c") == "drivers/a/a.h"
    assert file_of("drivers/b/deep/main.c") == "drivers/b/b.h"
    assert file_of("net/core/main.c") == "include/linux/x.h"
    assert resolve_struct("struct y", "a.c", kernel.symbols) is None


# ---- functions ----


def files_of(kernel: Kernel, name: str, file: str) -> list[str]:
    return [ref.file for ref in resolve_function(name, file, kernel.symbols)]


BODY = "(void)\n{\n\twork();\n}\n"


def test_a_function_of_the_same_file_comes_first() -> None:
    kernel = Kernel({"a/a.c": f"static int f{BODY}", "b/b.c": f"int f{BODY}", "c/c.c": "int x;\n"})
    assert files_of(kernel, "f", "a/a.c") == ["a/a.c"]
    assert files_of(kernel, "f", "b/b.c") == ["b/b.c"]
    assert files_of(kernel, "f", "c/c.c") == ["b/b.c"]
    assert files_of(kernel, "g", "c/c.c") == []


def test_a_static_of_another_file_is_not_meant() -> None:
    kernel = Kernel({"a/a.c": f"static int f{BODY}", "b/b.c": "int x;\n"})
    assert files_of(kernel, "f", "b/b.c") == []


def test_an_inline_of_a_header_is_shared() -> None:
    kernel = Kernel(
        {"include/linux/a.h": "static inline int f(void) { return g(); }\n", "b.c": "int x;\n"}
    )
    assert files_of(kernel, "f", "b.c") == ["include/linux/a.h"]


def test_the_real_function_is_meant_and_not_its_stub() -> None:
    kernel = Kernel(
        {
            "include/linux/a.h": (
                "#ifdef A\nint f(void);\n#else\nstatic inline int f(void) { return 0; }\n#endif\n"
            ),
            "lib/a.c": f"int f{BODY}",
        }
    )
    assert files_of(kernel, "f", "drivers/b.c") == ["lib/a.c"]
    assert files_of(kernel, "f", "include/linux/a.h") == ["lib/a.c"]  # of its inlines, too


def test_an_inline_that_nobody_defines_is_no_stub() -> None:
    kernel = Kernel({"include/linux/a.h": f"static inline int f{BODY}", "lib/a.c": f"int g{BODY}"})
    assert files_of(kernel, "f", "include/linux/a.h") == ["include/linux/a.h"]


def test_the_own_architecture_is_meant() -> None:
    kernel = Kernel({f"arch/{a}/kernel/x.c": f"void f{BODY}" for a in ("x86", "arm64", "riscv")})
    assert files_of(kernel, "f", "arch/arm64/mm/y.c") == ["arch/arm64/kernel/x.c"]
    assert len(files_of(kernel, "f", "kernel/y.c")) == 3


def test_too_many_definitions_are_none() -> None:
    kernel = Kernel({f"d{n}/x.c": f"void f{BODY}" for n in range(12)})
    assert files_of(kernel, "f", "kernel/y.c") == []


# ---- variables, layers ----


def test_a_definition_is_better_than_a_declaration() -> None:
    kernel = Kernel(
        {"a.h": "extern struct mutex m;\n", "b.c": "struct mutex m;\n", "c.c": "int x;\n"}
    )
    ref = resolve_variable("m", "c.c", kernel.symbols)
    assert ref is not None
    assert (ref.file, ref.defined) == ("b.c", True)


def test_symbols_in_front_of_others_hide_their_files() -> None:
    base = Kernel({"a.c": f"void f{BODY}struct s {{ struct mutex a; }};\n", "b.c": f"void g{BODY}"})
    front = MemorySymbols(base.symbols, frozenset({"a.c"}))
    assert front.own("f", "a.c") == []
    assert front.shared("f") == []
    assert front.structs("struct s") == []
    assert [ref.file for ref in front.shared("g")] == ["b.c"]
    new = FunctionRef(99, "f", "a.c", 1, False, False, "", None)
    front.add_function(new)
    assert front.own("f", "a.c") == [new]
    assert front.shared("f") == [new]
