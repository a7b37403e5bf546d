"""Recognises user agents with the rules of the ua-parser project."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from onefold.domain.user_agent import AUTOMATED_BROWSERS, ROBOT_WORDS, UserAgent

if TYPE_CHECKING:
    from ua_parser.core import Matchers, PartialResult
    from ua_parser.regex import Resolver

KNOWN_MAX: Final = 4_096  # texts that a sandbox remembers, about 2 MB
ROBOT: Final = "Spider"


@cache
def _rules() -> "Matchers":
    from ua_parser.loaders import load_lazy_builtins

    return load_lazy_builtins()


@cache
def _quick() -> "Resolver":
    """Browsers, systems, and of the 633 rules for devices those alone that tell robots: they cost a tenth."""
    from ua_parser.regex import Resolver

    agents, systems, devices = _rules()
    return Resolver((agents, systems, [rule for rule in devices if getattr(rule, "family", "") == ROBOT]))


@cache
def _devices() -> "Resolver":
    from ua_parser.regex import Resolver

    return Resolver(([], [], _rules()[2]))


@lru_cache(maxsize=KNOWN_MAX)
def read_user_agent(text: str) -> UserAgent:
    """What is known of a user agent. The first call of a process takes about 0.1 s of CPU, to build the rules."""
    from ua_parser.core import Domain

    found = _quick()(text, Domain.ALL)
    browser, system = found.user_agent, found.os
    return UserAgent(
        browser=browser.family if browser else "",
        browser_version=_version(browser.major, browser.minor) if browser else "",
        system=system.family if system else "",
        system_version=_version(system.major, system.minor) if system else "",
        robot=_robot(found),
    )


def _robot(found: "PartialResult") -> str:
    from ua_parser.core import Domain

    name = found.user_agent.family if found.user_agent else ""
    if name in AUTOMATED_BROWSERS:
        return name
    if found.device is None or not ROBOT_WORDS.search(found.string):
        return ""
    # The last rule takes whatever has `bot` in it; a telephone called CUBOT is known by a rule before it.
    device = _devices()(found.string, Domain.DEVICE).device
    if device is None or device.family != ROBOT:
        return ""
    return name or "robot"


def _version(major: str | None, minor: str | None) -> str:
    return f"{major}.{minor}" if major and minor else major or ""
