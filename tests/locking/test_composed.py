# SPDX-License-Identifier: GPL-2.0-or-later
"""Which member a macro calls may stand at its use."""

from __future__ import annotations

import pytest

from reviewbot.locking.linked import OPS
from reviewbot.locking.model import HazardKind, Verdict
from tests.locking.scenario import one
from tests.locking.support import Kernel, Lab, removed

CAM = """\
struct cam;
struct cam_video_ops {
	int (*start)(struct cam *c, int on);
	void (*stop)(struct cam *c);
};
struct cam_ops {
	const struct cam_video_ops *video;
	int (*reset)(struct cam *c);
};
struct cam {
	const struct cam_ops *ops;
	struct mutex lock;
	struct cam *next;
};
"""
DECLARED = """\
#define cam_call(c, o, f, args...)			\\
	({						\\
		struct cam *__cam = (c);		\\
		int __ret;				\\
		if (!__cam)				\\
			__ret = -ENODEV;		\\
		else if (!(__cam->ops->o && __cam->ops->o->f)) \\
			__ret = -ENOIOCTLCMD;		\\
		else					\\
			__ret = __cam->ops->o->f(__cam, ##args); \\
		__ret;					\\
	})
"""
GIVEN = """\
#define cam_call(c, o, f, args...)			\\
	((c)->ops->o->f ? (c)->ops->o->f((c), ## args) : -EINVAL)
"""
NESTED = """\
#define __cam_call(o, f, ret, c, ...) ((c)->ops->o->f ? (c)->ops->o->f(c, ##__VA_ARGS__) : (ret))
#define cam_call(c, o, f, args...) __cam_call(o, f, -EINVAL, (c), args)
#define cam_start(c, on) __cam_call(video, start, 0, c, on)
#define cam_start_all(c, on)				\\
	do {						\\
		struct cam *each = c;			\\
		__cam_call(video, start, 0, each, on);	\\
	} while (0)
"""
USE = "void use(struct cam *c, int on)\n{{\n\t{};\n}}\n"


def called(text: str, use: str) -> list[str]:
    """The members that a function with *use* calls."""
    kernel = Kernel({"drivers/x.c": CAM + text + USE.format(use)})
    calls = kernel.linked("drivers/x.c", "use").calls
    return [str(call).removeprefix(OPS) for call in calls if str(call).startswith(OPS)]


@pytest.mark.parametrize("macro", [DECLARED, GIVEN, NESTED])
@pytest.mark.parametrize(
    ("use", "member"),
    [
        ("cam_call(c, video, start, on)", "struct cam_video_ops.start"),
        ("on = cam_call(c, video, stop)", "struct cam_video_ops.stop"),
        ("if (cam_call(c->next, video, start, 1)) on = 0", "struct cam_video_ops.start"),
    ],
)
def test_the_arguments_say_what_is_called(macro: str, use: str, member: str) -> None:
    assert called(macro, use) == [member]


@pytest.mark.parametrize("use", ["cam_start(c, 1)", "cam_start(c->next, on)"])
def test_a_macro_may_name_some_for_another(use: str) -> None:
    assert called(NESTED, use) == ["struct cam_video_ops.start"]


def test_what_a_macro_says_all_of_is_its_own_call() -> None:
    kernel = Kernel({"drivers/x.c": CAM + NESTED + USE.format("cam_start_all(c, on)")})
    effects = kernel.effects("drivers/x.c", "cam_start_all")
    assert effects is None or not effects.runs
    assert OPS + "struct cam_video_ops.start" in kernel.linked("drivers/x.c", "cam_start_all").calls


@pytest.mark.parametrize(
    "use",
    [
        "cam_call(c)",
        "cam_call(c, video)",
        "cam_call(c, video, start + 1, on)",
        "other_call(c, video, start, on)",
    ],
)
def test_what_names_no_member_calls_none(use: str) -> None:
    assert called(DECLARED, use) == []


@pytest.mark.parametrize(
    "macro",
    [
        "#define cam_call(c, args...) ((c)->ops->reset((c), ##args))\n",
        "#define cam_call(c, o, f, args...) (all_cams.o->f((c), ##args))\n",
    ],
)
def test_only_members_that_are_arguments_are_looked_for(macro: str) -> None:
    assert called(macro, "cam_call(c, video, start, on)") == []


def test_such_a_call_is_part_of_a_hazard(lab: Lab) -> None:
    text = f"""{CAM}{DECLARED}
static int imx_start(struct cam *c, int on)
{{
	mutex_lock(&c->lock);
	mutex_unlock(&c->lock);
	return 0;
}}
static const struct cam_video_ops imx_video_ops = {{
	.start = imx_start,
}};
int host_open(struct cam *c)
{{
	mutex_lock(&c->lock);
	@@
	return 0;
}}
"""
    call, unlock = "cam_call(c, video, start, 1);", "mutex_unlock(&c->lock);"
    before = one(text.replace("@@", f"{call}\n\t{unlock}"))
    after = one(text.replace("@@", f"{unlock}\n\t{call}"))
    hazard = removed(lab.review(before, after), HazardKind.RECURSIVE_LOCK)
    assert hazard.classes == ("struct cam.lock",)


@pytest.mark.parametrize("call", ["cam_call(c->next, video, start, 1)", "start_next(c)"])
def test_a_member_that_asks_the_next_object_for_the_same_takes_another_lock(
    lab: Lab, call: str
) -> None:
    text = f"""{CAM}{DECLARED}
static void start_next(struct cam *c)
{{
	c->next->ops->video->start(c->next, 1);
}}
static int imx_start(struct cam *c, int on)
{{
	mutex_lock(&c->lock);
	@@
	return 0;
}}
static const struct cam_video_ops imx_video_ops = {{
	.start = imx_start,
}};
"""
    unlock = "mutex_unlock(&c->lock);"
    outside = one(text.replace("@@", f"{unlock}\n\t{call};"))
    inside = one(text.replace("@@", f"{call};\n\t{unlock}"))
    assert lab.review(outside, inside).verdict is Verdict.CLEAN
