// SPDX-License-Identifier: GPL-2.0-or-later
// one line
/*
 * Several lines, don't stop at an apostrophe.
 */
#include <linux/mutex.h>

#define FROB(x)	\
	do {	\
		frob(x);	\
	} while (0)

enum frob_state {
	FROB_A,
	FROB_B,
};

struct frob {
	int users;
	struct {
		int deep;
	} inner;
};

static const struct frob_ops ops = {
	.open = frob_open,
	.nested = {
		.close = frob_close,
	},
};

static int
frob_open(struct frob *frob, const char *name,
	  int flags)
{
	int ret = a_function(frob,
			     "a string with ( and {",
			     flags);
	char c = '{';

	if (ret)
		return ret;

	if (frob->users &&
	    frob->inner.deep)
		ret = 1;
	else if (flags)
		ret = 2;
	else
		ret = 3;

	for (;;) {
		/* one */
		while (ret)
			if (frob)
				ret--;
		list_for_each_entry(pos, &head, member)
			list_for_each_entry_rcu(other, &head, member)
				frob(pos);
		break;
	}

	switch (flags) {
	case FROB_A:
	case FROB_B: {
		ret = 0;
		break;
	}
	default:
		ret = flags ? 1 : 2;
		goto out;
	}

	do {
		ret++;
	} while (ret < 3);

	scoped_guard(mutex, &frob_lock) {
		ret = 4;
	}
#ifdef CONFIG_FROB
	if (ret) {
#else
	if (!ret) {
#endif
		ret = 5;
	} else {
		/*
		 * Several lines.
		 */
		ret =
			6;
	}

	call_with_a_long_name(
		frob,
		flags);
out:
	mutex_unlock(&frob_lock);
	return ret;
}

int after(void)
{
	return 0;
}
