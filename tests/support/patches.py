# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches to the sample tree, of every verdict, each unlike all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha1

from reviewbot.locking.model import Verdict

Files = Mapping[str, str]
EVENTFD = "virt/kvm/eventfd.c"
IRQCHIP = "virt/kvm/irqchip.c"

_ASSIGN = (
    "\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n\n"
    "\t\tmutex_unlock(&kvm->irqfds.resampler_lock);\n",
    "\t\tmutex_unlock(&kvm->irqfds.resampler_lock);\n\n"
    "\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n",
)
_UNREGISTER = (
    "\t\tkvm_unregister_irq_ack_notifier(kvm, &resampler->notifier);\n",
    "\t\tmutex_unlock(&kvm->irqfds.resampler_lock);\n"
    "\t\tkvm_unregister_irq_ack_notifier(kvm, &resampler->notifier);\n",
)
_ELSE = (
    "\t} else {\n\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n\t}\n\n"
    "\tmutex_unlock(&kvm->irqfds.resampler_lock);\n",
    "\t} else {\n\t\tmutex_unlock(&kvm->irqfds.resampler_lock);\n"
    "\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n\t}\n",
)
_CLAIM = "irqfd_resampler_shutdown() can deadlock on resampler_lock: it waits for SRCU under it."


@dataclass(frozen=True)
class Change:
    """One patch: what it does to the tree, and what it says."""

    title: str
    message: str
    edit: Callable[[Files], Files]
    foreign: bool = False
    """Whether it was made on a tree that nobody else has."""

    def diff(self, files: Files) -> str:
        """What git would print of it."""
        before = _of_another_tree(files) if self.foreign else files
        return diff(before, self.edit(before))

    def after(self, files: Files) -> Files:
        """The files with it; as they were if it does not go on."""
        return files if self.foreign else self.edit(files)


def changes(verdict: Verdict, tag: str) -> Change:
    """A change that alone has this verdict; *tag* goes into all names it makes."""
    return {
        Verdict.CLEAN: _clean,
        Verdict.REMOVED: _removed,
        Verdict.PARTIALLY_REMOVED: _partially,
        Verdict.NOT_REMOVED: _not_removed,
        Verdict.INTRODUCED: _introduced,
        Verdict.DOES_NOT_APPLY: _does_not_apply,
    }[verdict](tag)


VERDICTS = (
    Verdict.CLEAN,
    Verdict.CLEAN,
    Verdict.REMOVED,
    Verdict.PARTIALLY_REMOVED,
    Verdict.NOT_REMOVED,
    Verdict.INTRODUCED,
    Verdict.DOES_NOT_APPLY,
)
"""To choose from: what changes no locking is the most frequent."""


def _clean(tag: str) -> Change:
    text = f"\nint kvm_count_{tag}(int gsi)\n{{\n\treturn gsi + 1;\n}}\n"
    return Change(
        f"KVM: irqchip: count {tag}",
        "Count what was not counted so far.",
        lambda files: {**files, IRQCHIP: files[IRQCHIP] + text},
    )


def _removed(tag: str) -> Change:
    return Change(
        f"KVM: irqfd: wait outside of the lock ({tag})",
        _CLAIM,
        lambda files: _edited(files, tag, _ASSIGN, _UNREGISTER, _ELSE),
    )


def _partially(tag: str) -> Change:
    return Change(
        f"KVM: irqfd: wait later in shutdown ({tag})",
        _CLAIM,
        lambda files: _edited(files, tag, _UNREGISTER, _ELSE),
    )


def _not_removed(tag: str) -> Change:
    return Change(
        f"KVM: irqfd: fix a deadlock in irqfd_resampler_shutdown() ({tag})",
        _CLAIM,
        lambda files: _edited(files, tag),
    )


def _introduced(tag: str) -> Change:
    def locks(first: str, second: str) -> str:
        taken = "".join(f"\tmutex_lock(&{name}_{tag});\n" for name in (first, second))
        given = "".join(f"\tmutex_unlock(&{name}_{tag});\n" for name in (second, first))
        return f"int kvm_{first}_{second}_{tag}(void)\n{{\n{taken}{given}\treturn 0;\n}}\n"

    text = (
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/mutex.h>\n\n"
        f"static DEFINE_MUTEX(map_{tag});\nstatic DEFINE_MUTEX(route_{tag});\n\n"
        f"{locks('map', 'route')}\n{locks('route', 'map')}"
    )
    return Change(
        f"KVM: map routes {tag}",
        "Map them.",
        lambda files: {**files, f"virt/kvm/map_{tag}.c": text},
    )


def _does_not_apply(tag: str) -> Change:
    text = f"\nint kvm_lost_{tag};\n"
    return Change(
        f"KVM: irqchip: on a tree of my own ({tag})",
        "It works here.",
        lambda files: {**files, IRQCHIP: files[IRQCHIP] + text},
        foreign=True,
    )


def _of_another_tree(files: Files) -> Files:
    return {**files, IRQCHIP: files[IRQCHIP].replace("\n", " /* mine */\n")}


def _edited(files: Files, tag: str, *edits: tuple[str, str]) -> Files:
    text = files[EVENTFD]
    start = text.index("irqfd_resampler_shutdown(struct")
    head = "\tmutex_lock(&kvm->irqfds.resampler_lock);\n"
    at = text.index(head, start)
    text = f"{text[:at]}\tif (irqfd->gsi < -{int(tag, 36) + 1})\n\t\treturn;\n\n{text[at:]}"
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return {**files, EVENTFD: text}


def diff(before: Files, after: Files) -> str:
    """What git would print between two trees; nothing is ever removed."""
    changed = [path for path in sorted(after) if after[path] != before.get(path)]
    return "".join(_file_diff(path, before.get(path, ""), after[path]) for path in changed)


def _file_diff(path: str, old: str, new: str) -> str:
    ids = [_blob(text)[:12] if text else "0" * 12 for text in (old, new)]
    index = f"index {ids[0]}..{ids[1]}"
    mode = f"{index} 100644\n" if old else f"new file mode 100644\n{index}\n"
    lines = unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        f"a/{path}" if old else "/dev/null",
        f"b/{path}",
    )
    return f"diff --git a/{path} b/{path}\n{mode}{''.join(lines)}"


def _blob(text: str) -> str:
    data = text.encode()
    return sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()
