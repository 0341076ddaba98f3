# SPDX-License-Identifier: GPL-2.0-or-later
"""Blanking moves nothing; functions are cut where they stand."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewbot.locking.source import (
    Cut,
    Lines,
    cut_functions,
    matching_paren,
    split_directives,
    without_attributes,
    without_comments,
)
from tests.locking.strategies import TEXTS


def cuts_of(text: bytes) -> list[Cut]:
    return list(cut_functions(split_directives(without_comments(text))[0]))


def names(text: bytes) -> list[str]:
    return [cut.name for cut in cuts_of(text)]


def line_ends(text: bytes) -> list[int]:
    return [place for place, char in enumerate(text) if char == 0x0A]


# ---- blanking ----


@given(TEXTS)
@example(b"'")
@example(b'"\\')
@example(b"/*")
@example(b"// a \\\n b\n c")
@example(b'f("a \\\n b", c);')
@example(b"'\\\n'")
@example(b"'a\\\n'")
def test_blanking_moves_nothing(text: bytes) -> None:
    for blanked in (without_comments(text), without_attributes(text), split_directives(text)[0]):
        assert len(blanked) == len(text)
        assert line_ends(blanked) == line_ends(text)


@given(TEXTS)
def test_blanking_only_blanks(text: bytes) -> None:
    for blanked in (without_attributes(text), split_directives(text)[0]):
        assert all(new in (old, 0x20) for new, old in zip(blanked, text, strict=True))


@given(TEXTS)
def test_blanking_twice_is_blanking_once(text: bytes) -> None:
    once = split_directives(without_comments(text))[0]
    assert split_directives(without_comments(once))[0] == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a /* { */ b", b"a         b"),
        (b"a // }\nb", b"a     \nb"),
        (b"a // x \\\n y\nb", b"a       \n  \nb"),
        (b"a /* 1\n2 */ b", b"a     \n     b"),
        (b'f("x{y", 1)', b'f("   ", 1)'),
        (b'f("a\\"b{")', b'f("     ")'),
        (b"c = '{';", b"c = '0';"),
        (b"c = '\\'';", b"c = '0 ';"),
        (b'"/*" x "*/"', b'"  " x "  "'),
        (b"a / b * c", b"a / b * c"),
        (b"/* open", b"       "),
        (b"don't /* { */ isn't", None),
    ],
)
def test_comments_and_literals(text: bytes, expected: bytes | None) -> None:
    blanked = without_comments(text)
    assert b"{" not in blanked
    if expected is not None:
        assert blanked == expected


def test_attributes_are_blanked_and_names_kept() -> None:
    text = (
        b"static int __init __maybe_unused f(void __user *p) __must_hold(&a(b)) "
        b"__attribute__((x(y)))"
    )
    blanked = without_attributes(text)
    assert blanked.split() == b"static int f(void *p)".split()


def test_an_attribute_in_a_word_is_none() -> None:
    text = b"my__init(x); __init_rwsem(y); vm__free(z);"
    assert without_attributes(text) == text


def test_directives_go_and_conditionals_stay() -> None:
    text = (
        b"#include <x.h>\n#ifdef A\n#define F(a, b) do { g(a); \\\n"
        b" h(b); } while (0)\n# endif\nint x;\n"
    )
    code, macros = split_directives(text)
    assert [line.strip() for line in code.split(b"\n")] == [
        b"",
        b"#ifdef A",
        b"",
        b"",
        b"# endif",
        b"int x;",
        b"",
    ]
    assert len(code) == len(text)
    (macro,) = macros
    assert (macro.name, macro.params) == ("F", ("a", "b"))
    assert text[macro.body : macro.end].startswith(b" do {")
    assert text[macro.body : macro.end].endswith(b"while (0)")


def test_object_like_macros_are_no_functions() -> None:
    assert split_directives(b"#define LIMIT (3)\n#define F() g()\n")[1][0].name == "F"


# ---- cutting ----


@pytest.mark.parametrize(
    ("text", "name", "static", "params"),
    [
        (b"int f(void)\n{\n\treturn 0;\n}\n", "f", False, b"void"),
        (b"static void\nf(struct x *a,\n  int b)\n{\n}\n", "f", True, b"struct x *a,\n  int b"),
        (b"int f(void) {\n\treturn 0;\n}\n", "f", False, b"void"),
        (b"static inline int f(int a) { return a; }\n", "f", True, b"int a"),
        (b"static __always_inline void f(void) { g(); }\n", "f", True, b"void"),
        (b"static int __init f(void)\n{\n}\n", "f", True, b"void"),
        (b"void f(struct x *a) __must_hold(&a->lock)\n{\n}\n", "f", False, b"struct x *a"),
        (
            b"static void f(struct x *a)\n\t__acquires(a->lock)\n\t__releases(b)\n{\n}\n",
            "f",
            True,
            b"struct x *a",
        ),
        (b"__attribute__((noinline)) int f(int a)\n{\n}\n", "f", False, b"int a"),
        (b"struct x *f(int (*cb)(int), void *p)\n{\n}\n", "f", False, b"int (*cb)(int), void *p"),
        (b"static const struct x *\nf(void)\n{\n}\n", "f", True, b"void"),
        (b"unsigned long __weak f(void)\n{\n}\n", "f", False, b"void"),
        (b"notrace noinline void f(void)\n{\n}\n", "f", False, b"void"),
    ],
)
def test_shapes_of_functions(text: bytes, name: str, static: bool, params: bytes) -> None:
    lead = b"int before;\n\n"
    (cut,) = cuts_of(lead + text)
    assert (cut.name, cut.static) == (name, static)
    whole = lead + text
    assert whole[cut.params[0] : cut.params[1]] == params
    assert whole[cut.body : cut.body + 1] == b"{"
    assert whole[cut.end - 1 : cut.end] == b"}"
    assert cut.end == len(whole) - 1


def test_system_calls_are_named_as_the_kernel_calls_them() -> None:
    text = b"SYSCALL_DEFINE2(openat2, int, dfd, const char __user *, name)\n{\n\treturn 0;\n}\n"
    assert names(text) == ["sys_openat2"]
    assert names(b"COMPAT_" + text) == ["sys_openat2"]
    assert names(
        text.replace(b"DEFINE2(openat2, int, dfd, const char __user *, name)", b"DEFINE0(sync)")
    ) == ["sys_sync"]


def test_a_macro_before_the_function() -> None:
    text = b'MODULE_LICENSE("GPL");\nEXPORT_SYMBOL(g);\nstatic int f(void)\n{\n\treturn 0;\n}\n'
    assert names(text) == ["f"]
    assert names(b"DEFINE_MUTEX(lock);\n\nATOMIC_NOTIFIER_HEAD(head);\n" + text) == ["f"]
    assert names(b"late_initcall(g)\nint f(void)\n{\n}\n")[-1] == "f"
    assert names(b"EXPORT(g)\n\nacpi_status\nf(u32 event)\n{\n}\n") == ["f"]
    assert names(b"EXPORT(g)\nu32 *f(void) __must_hold(a) __releases(b)\n{\n}\n") == ["f"]
    assert names(b"void f(void) __must_hold(a) __releases(b)\n{\n}\n") == ["f"]


def test_a_macro_that_makes_functions_keeps_them_apart() -> None:
    text = (
        b"BPF_CALL_1(bpf_one, int, a)\n{\n\treturn a;\n}\n"
        b"BPF_CALL_1(bpf_two, int, a)\n{\n\treturn a;\n}\n"
    )
    first, second = names(text)
    assert first != second


def test_ifdef_in_the_header() -> None:
    text = b"""\
#ifdef CONFIG_A
static int f(int a, int b)
#else
static int f(int a)
#endif
{
	return a;
}

int g(void)
{
	return 1;
}
"""
    assert names(text) == ["f", "g"]


def test_both_definitions_under_ifdef() -> None:
    text = (
        b"#ifdef A\nint f(void)\n{\n\treturn 1;\n}\n#else\n"
        b"static inline int f(void) { return 0; }\n#endif\n"
    )
    assert names(text) == ["f", "f"]


@pytest.mark.parametrize(
    "text",
    [
        b"struct x\n{\n\tint a;\n};\n",
        b"static struct ops o = {\n\t.open = f,\n};\n",
        b"static const int t[] =\n{\n\t1, 2\n};\n",
        b"enum e {\n\tA,\n};\n",
        b"union u\n{\n\tint a;\n} v;\n",
        b"int f(void);\n",
        b"#define F(x) \\\n{ \\\n}\n",
        b"int f(void)\n{\n\treturn 0;\n",
    ],
)
def test_what_is_no_function(text: bytes) -> None:
    assert names(text) == []


def test_a_table_between_functions() -> None:
    text = (
        b"static int f(void)\n{\n\treturn 0;\n}\n\nstatic const struct ops o = {\n\t.open\t= f,\n"
        b"\t.close\t= g,\n};\n\nstruct x\n{\n\tint (*cb)(int);\n};\n\n"
        b"int h(void)\n{\n\treturn 0;\n}\n"
    )
    assert names(text) == ["f", "h"]


@given(st.lists(st.sampled_from(["plain", "brace", "inline", "table", "comment"]), max_size=8))
def test_every_function_is_found_on_its_line(shapes: list[str]) -> None:
    pieces: list[str] = []
    expected: list[tuple[str, int]] = []
    for number, shape in enumerate(shapes):
        line = "".join(pieces).count("\n") + 1
        name = f"f{number}"
        if shape in ("plain", "brace", "inline"):
            expected.append((name, line))
        pieces.append(
            {
                "plain": f"static int {name}(int a)\n{{\n\tif (a) {{\n\t\tg();\n\t}}\n}}\n\n",
                "brace": f'int {name}(int a) {{\n\tg("}}");\n}}\n\n',
                "inline": f"static inline int {name}(int a) {{ return a; }}\n",
                "table": f"static struct ops {name} = {{\n\t.open = g,\n}};\n",
                "comment": f"/*\n * int {name}(void)\n{{\n}}\n */\n",
            }[shape]
        )
    text = "".join(pieces).encode()
    lines = Lines(text)
    assert [(cut.name, lines.at(cut.head)) for cut in cuts_of(text)] == expected


@given(TEXTS)
def test_cuts_are_in_order_and_apart(text: bytes) -> None:
    end = 0
    for cut in cuts_of(text):
        assert end <= cut.head <= cut.params[0] <= cut.params[1] <= cut.body < cut.end <= len(text)
        assert text[cut.body : cut.body + 1] == b"{"
        end = cut.end


# ---- small parts ----


@pytest.mark.parametrize(
    ("text", "place"),
    [(b"()", 1), (b"(a(b)c)d", 6), (b"((", -1), (b"(", -1), (b"(a))", 2)],
)
def test_matching_paren(text: bytes, place: int) -> None:
    assert matching_paren(text, 0) == place


@given(st.binary(max_size=80).map(lambda data: data.replace(b"\0", b"\n")))
def test_lines(text: bytes) -> None:
    lines = Lines(text)
    for offset in range(len(text) + 1):
        assert lines.at(offset) == text[:offset].count(b"\n") + 1


@pytest.mark.parametrize("end", ["", "  ", "\t/* whatever */", "\t// whatever"])
def test_a_body_of_one_line_below_its_head(end: str) -> None:
    text = f"static inline int f(int a)\n{{ return 0; }}{end}\n\nint g(void)\n{{\n\tf(1);\n}}\n"
    cuts = cuts_of(text.encode())
    assert [cut.name for cut in cuts] == ["f", "g"]
    assert text[cuts[0].body : cuts[0].end].rstrip() == "{ return 0; }"
