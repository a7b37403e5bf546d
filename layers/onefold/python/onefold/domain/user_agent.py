"""What a user agent says: browser, operating system, kind of device, and whether a program of its own is behind it."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

USER_AGENT_CHARACTERS_MAX: Final = 1_000  # a longer one is a joke or an attack, and is not parsed

# Browsers without a person in front of them that call themselves so. HTTP libraries are none of these: server SDKs
# and apps name theirs too.
AUTOMATED_BROWSERS: Final = frozenset(["HeadlessChrome", "PhantomJS", "SlimerJS", "Splash", "PTST"])

# What a robot's text says of itself. The common rules call more than that a robot, such as Sogou's and Daum's browsers
# and the libraries with which servers send; but who is taken for one loses a profile, so both have to agree.
ROBOT_WORDS: Final = re.compile(
    r"bot|crawl|spider|slurp|scrap|preview|externalhit|whatsapp/|pingdom|statuscake|uptime|archive|heritrix|inspection",
    re.IGNORECASE,
)

MOBILE_SYSTEMS: Final = frozenset(["iOS", "Android", "Windows Phone", "KaiOS", "BlackBerry OS", "HarmonyOS"])
DESKTOP_SYSTEMS: Final = frozenset(["Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Chrome OS", "Debian"])
TELEVISION_SYSTEMS: Final = frozenset(["Tizen", "tvOS", "ATV OS X", "webOS", "Android TV", "Chromecast"])
TABLETS: Final = ("iPad", "Tablet", "SM-T", "Kindle", "Silk")


class UserAgent(msgspec.Struct, frozen=True):
    """What was recognised; empty where nothing was.

    Attributes:
        versions: As far as the text gives them, `17.5`.
        robot: The name of a crawler, a preview or a browser without a person.
    """

    browser: str = ""
    browser_version: str = ""
    system: str = ""
    system_version: str = ""
    robot: str = ""

    @property
    def browser_context(self) -> dict[str, str]:
        return _named(self.browser, self.browser_version)

    @property
    def system_context(self) -> dict[str, str]:
        return _named(self.system, self.system_version)


# Recognises a user agent's text, whatever it is.
UserAgentReader = Callable[[str], UserAgent]


def device_mark(text: str) -> str:
    """What of a user agent's text tells the kind of device, beside the system."""
    if any(mark in text for mark in TABLETS):
        return "tablet"
    return "mobile" if "Mobile" in text else ""


def device_type(agent: UserAgent, mark: str) -> str:
    """`mobile`, `tablet`, `desktop` or `television`; empty where the text, of which `mark` is left, does not tell."""
    if agent.system in TELEVISION_SYSTEMS:
        return "television"
    if agent.system in MOBILE_SYSTEMS:
        # Android's tablets leave the word Mobile out.
        is_tablet = mark == "tablet" or (agent.system == "Android" and mark != "mobile")
        return "tablet" if is_tablet else "mobile"
    return "desktop" if agent.system in DESKTOP_SYSTEMS else ""


def _named(name: str, version: str) -> dict[str, str]:
    if not name:
        return {}
    return {"name": name, "version": version} if version else {"name": name}
