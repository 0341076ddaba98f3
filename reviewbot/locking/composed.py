# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls through members that the user of a macro names.

After ``#define dev_call(d, op, args...) ((d)->ops->op((d), ##args))`` it is
``dev_call(dev, open)`` that says which member is called, and the macro where it is looked
for.  Such a call is put down as ``$0->ops->$1``, or, where the macro declares the variable,
with its type in front: ``struct dev*->ops->$1``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from reviewbot.locking.classes import Classifier
from reviewbot.locking.effects import Effects
from reviewbot.locking.facts import Function
from reviewbot.locking.names import WORDS, substitute

_CHAIN = re.compile(r"\(?(\w+)\)?((?:(?:->|\.)\w+)+)$")
_RUN = re.compile(r"(.+?)((?:->|\.).+)$")
_ARGUMENT = re.compile(r"\$(\d+)")


def composed(function: Function, lookup: Callable[[str], Effects | None]) -> Iterator[str]:
    """The members that a macro calls and only its users can name, in terms of its arguments.

    *lookup* gives the effects of a callee: it may be a macro of that kind itself.
    """
    if not function.macro:
        return
    own = {name: f"${known.param}" for name, known in function.locals.items() if known.param >= 0}
    for event in (e for flow in function.flows for block in flow.blocks for e in block.events):
        chain = _CHAIN.match(event.name)
        if chain is not None:
            path = WORDS.sub(lambda word: own.get(word[0], word[0]), chain[2])
            found = [(chain[1], path)] if "$" in path else []
        else:
            effects = lookup(event.name) if event.name != "=" else None
            args = tuple(own.get(arg.strip("()"), arg) for arg in event.args)
            found = [_parts(run, args) for run in (effects.runs if effects is not None else ())]
        for name, path in found:
            root = _portable(name, function)
            if root and ("$" in path or root.startswith("$")):
                yield root + path


def _portable(root: str, function: Function) -> str:
    """``$n`` for an argument, its type for a variable; empty if the macro's user has no such."""
    local = function.locals.get(root)
    if local is not None:
        return local.type or (f"${local.param}" if local.param >= 0 else "")
    return root if root.startswith(("$", "struct ")) else ""


def member(run: str, args: tuple[str, ...], function: Function, classifier: Classifier) -> str:
    """``struct x.field``: what a use with *args* in *function* calls; empty if that is unknown."""
    root, path = _parts(run, args)
    if run.startswith("$"):
        whole = substitute(f"$0{path}", (root,), function.locals)
        return classifier.owner_of(whole, function.locals, "") if whole else ""
    return classifier.owner_of(f"_{path}", {}, root)


def _parts(run: str, args: tuple[str, ...]) -> tuple[str, str]:
    """Root (an expression, or a type) and path of a call with these arguments."""
    match = _RUN.match(run)
    if match is None:
        return "", ""
    named = {int(digits) for digits in _ARGUMENT.findall(run)}
    if max(named, default=0) >= len(args):
        return "", ""
    root, path = (_ARGUMENT.sub(lambda n: args[int(n[1])], part) for part in match.groups())
    return root, path
