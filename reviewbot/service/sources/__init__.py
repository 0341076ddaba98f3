# SPDX-License-Identifier: GPL-2.0-or-later
"""Places where new mail is learnt of: archives in git, mailboxes, files, patchwork."""
