# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration says about letters on their way out, as the state wants it."""

from __future__ import annotations

from reviewbot.config import Config
from reviewbot.config_service import ListConfig, PostMode
from reviewbot.report.envelope import Policy, barred
from reviewbot.series.addresses import canonical, domain_of
from reviewbot.service.state.model import Letter
from reviewbot.service.state.sending import Budget, Terms


def terms_of(config: Config, reaches_people: bool) -> Terms:
    """The rules for letters; that of allowed domains is for what reaches people."""
    post = config.post
    policy = Policy(own=frozenset({config.sender.address}), bots=config.service.bots)

    def hold(letter: Letter) -> str:
        mode = PostMode(config.list.get(letter.list, ListConfig()).post)
        if mode is PostMode.OFF:
            return f"post is off for the list {letter.list}"
        if post.i_mean_it or not reaches_people:
            return ""
        outside = [one for one in letter.recipients if not _within(one, post.domains)]
        if outside:
            return (
                f"{outside[0]} is in none of post.domains ({', '.join(post.domains)}):"
                " post.i_mean_it is for the day that it may be mailed to"
            )
        return ""

    return Terms(
        budget=Budget(post.list_hour, post.list_day, post.person_hour, post.person_day),
        hold=hold,
        bar=lambda address: barred(address, policy),
        lists=frozenset(canonical(own.address) for own in config.list.values() if own.address),
        attempts=post.attempts,
    )


def _within(address: str, domains: tuple[str, ...]) -> bool:
    """Whether an address is in one of these domains or below it."""
    domain = domain_of(address)
    return any(domain == one or domain.endswith(f".{one}") for one in domains)
