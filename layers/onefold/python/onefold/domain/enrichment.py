"""What collect adds to an event's context, and what it takes out of it: place, browser, campaign, kind of traffic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from onefold.domain.campaign import has_click_id, is_paid, query_of, read_campaign
from onefold.domain.geography import Locator, location_of
from onefold.domain.network_address import Network, is_within, read_address, shortened
from onefold.domain.referrer import classify_visit, host_of, is_below
from onefold.domain.source import Source
from onefold.domain.user_agent import USER_AGENT_CHARACTERS_MAX, UserAgent, UserAgentReader, device_mark, device_type

KNOWN_MAX: Final = 1_024
UNCHANGED: Final[Mapping[str, Any]] = {}


class _Address(NamedTuple):
    kept: str  # what the policy leaves; empty for nothing
    unreadable: bool
    is_internal: bool
    additions: Mapping[str, Any]


class _Agent(NamedTuple):
    robot: str
    additions: Mapping[str, Any]


@dataclass(slots=True)
class Enricher:
    """Enriches the contexts of one request's events; what a batch repeats is worked out once.

    Nothing that a sender has written is replaced, but for `ip`, which the source's policy shortens or takes out.

    Attributes:
        read_user_agent, locate: None where nothing is known of user agents or of places.
    """

    source: Source
    read_user_agent: UserAgentReader | None = None
    locate: Locator | None = None
    _addresses: dict[str, _Address] = field(default_factory=dict)
    _agents: dict[str, _Agent] = field(default_factory=dict)
    _queries: dict[str, tuple[dict[str, str], dict[str, str]]] = field(default_factory=dict)
    _places: dict[tuple[str, str, str, bool], dict[str, str]] = field(default_factory=dict)
    _networks: tuple[Network, ...] | None = None

    def enrich(self, context: dict[str, Any], violations: list[str]) -> str:
        """Enrich a context in place.

        Returns:
            The name of the robot whose event this is; empty for a person's.
        """
        robot, is_internal = "", False
        if "ip" in context:
            address = self._address(context, violations)
            is_internal = address.is_internal
            if address.additions:
                _add(context, address.additions)
        agent_text = context.get("userAgent")
        if self.read_user_agent is not None and type(agent_text) is str:
            agent = self._agents.get(agent_text) or self._agent(agent_text)
            robot = agent.robot
            if agent.additions:
                _add(context, agent.additions)
        page = context.get("page")
        if type(page) is dict and page:
            is_internal = self._visit(page, context) or is_internal
        if robot or is_internal:
            marks = {"bot": robot} if robot else {}
            context["traffic"] = marks | ({"internal": True} if is_internal else {})
        return robot

    def _address(self, context: dict[str, Any], violations: list[str]) -> _Address:
        text = context["ip"]
        written = text if type(text) is str else ""
        address = self._addresses.get(written) or self._read_address(written)
        if address.unreadable and text is not None and text != "":
            violations.append("ip_unreadable")
        if self.source.ip != "keep":
            if address.kept:
                context["ip"] = address.kept
            else:
                del context["ip"]
        return address

    def _read_address(self, text: str) -> _Address:
        address = read_address(text)
        if address is None:
            found = _Address("", unreadable=True, is_internal=False, additions=UNCHANGED)
        else:
            if self._networks is None:
                self._networks = tuple(map(ip_network, self.source.internal.networks))
            record = self.locate(address) if self.locate is not None else None
            place = location_of(record) if record else {}
            found = _Address(
                kept=shortened(address) if self.source.ip == "truncate" else "",
                unreadable=False,
                is_internal=is_within(address, self._networks),
                additions={"location": place} if place else UNCHANGED,
            )
        self._addresses[text] = found
        return found

    def _agent(self, text: str) -> _Agent:
        found = _Agent("", UNCHANGED)
        if self.read_user_agent is not None and 0 < len(text) <= USER_AGENT_CHARACTERS_MAX:
            found = _described(self.read_user_agent(text), device_mark(text))
        self._agents[text] = found
        return found

    def _visit(self, page: dict[str, Any], context: dict[str, Any]) -> bool:
        """Add the campaign and what brought the visit; True for a page of an internal host."""
        url, referrer, campaign = page.get("url"), page.get("referrer"), context.get("campaign")
        url = url if type(url) is str else ""
        query = query_of(url) if "?" in url else _text(page.get("search")).removeprefix("?")
        clicks: Mapping[str, str] = UNCHANGED
        if query and (not campaign or has_click_id(query)):
            found, clicks = self._queries.get(query) or self._read_query(query)
            if found and not campaign:
                context["campaign"] = campaign = found
            if clicks and not context.get("clickIds"):
                context["clickIds"] = clicks
        medium = campaign.get("medium") if type(campaign) is dict else None
        if (referrer or medium or clicks) and not context.get("referrer"):
            place = self._place(_text(referrer), url, _text(medium), clicks)
            if place:
                context["referrer"] = place
        internal = self.source.internal.hosts
        return bool(internal and url) and is_below(host_of(url), internal)

    def _place(self, referrer: str, url: str, medium: str, clicks: Mapping[str, str]) -> dict[str, str]:
        """What brought the visit. Without a referrer the page does not matter."""
        visit = (referrer, host_of(url) if referrer else "", medium, bool(clicks) and is_paid(clicks))
        place = self._places.get(visit)
        if place is None:
            place = self._places[visit] = classify_visit(
                referrer, visit[1], self.source.hosts, medium=medium, is_paid_click=visit[3]
            )
        return place

    def _read_query(self, query: str) -> tuple[dict[str, str], dict[str, str]]:
        found = self._queries[query] = read_campaign(query)
        return found


@lru_cache(maxsize=KNOWN_MAX)
def _described(agent: UserAgent, mark: str) -> _Agent:
    kind = device_type(agent, mark)
    additions = {
        "browser": agent.browser_context,
        "os": agent.system_context,
        "device": {"type": kind} if kind else {},
    }
    return _Agent(agent.robot, {name: value for name, value in additions.items() if value})


def _text(value: object) -> str:
    return value if type(value) is str else ""


def _add(context: dict[str, Any], additions: Mapping[str, Any]) -> None:
    for name, value in additions.items():
        if not context.get(name):
            context[name] = value


def set_aside(context: dict[str, Any], named: Mapping[str, object]) -> None:
    """Keep who a robot's event names in its context, where identity resolution does not look."""
    context["traffic"] = {**context.get("traffic", {}), "identifiers": {k: v for k, v in named.items() if v}}
