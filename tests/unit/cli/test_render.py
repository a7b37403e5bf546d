"""Answers as a terminal shows them."""

from typing import Any

import pytest
from rich.console import Console, RenderableType

from cli.render import answer_view, profile_panel, rows_table, status_view
from onefold.domain.event import Event
from onefold.domain.facts import NOTHING, fold
from onefold.domain.head import Attached, Head, Membership
from onefold.domain.profile import Profile, profile_document
from tests.fakes.events import event, identifier


def shown(renderable: RenderableType) -> str:
    console = Console(width=110)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def at_zero(*names: str, **fields: Any) -> Event:
    return event(*names, at=0, **fields)


@pytest.fixture
def profile() -> dict[str, Any]:
    """As the domain makes it."""
    mail = identifier("email:kim@posteo-demo.net")
    events = [
        at_zero(kind="identify", traits={"tags": ["a"], "plan": "[bold]gold[/]", "address": {"city": "Köln"}}),
        *(at_zero(kind="page", context={"campaign": {"name": "spring"}}) for _ in range(9)),
        *(
            at_zero(name="Order Completed", properties={"order_id": number, "total": 6.25, "currency": "EUR"})
            for number in (1, 2)
        ),
        at_zero(name="Live Chat Conversation Ended", properties={"conversation_duration": 61, "nps": 9}),
        at_zero(name="Email Opened", consent={"marketing": False}),
        at_zero(kind="group", account=identifier("group_id:acme")),
        at_zero("device_id:d1"),
        event("anonymous_id:a1", at=86_400_000, name="x" * 300, kind="identify", traits=b"["),
    ]
    head = Head("p_1", 0, {mail.key: Attached(mail, 0)}, memberships={"vips": Membership(0, 1)})
    return profile_document(Profile(head, fold(NOTHING, events))) | {"fragments": 3, "merges": 1}


def test_a_profile_is_shown_whole(profile: dict[str, Any]) -> None:
    text = shown(profile_panel(profile))

    for part in (
        "p_1", "kim@posteo-demo.net", "1970-01-01 00:00:00 to 1970-01-02", "3 fragments on 2 devices, 1 merge",
        "net 12.50", "name spring", "1 chat (61 s), nps 9", "marketing: no, at 1970-01-01 00:00:00 by web",
        "vips since", "2 sessions, 0 s", "opened 1", "acme", '{"city": "Köln"}', "unreadable_traits 1",
    ):  # fmt: skip
        assert part in text
    assert "[bold]gold[/]" in text  # a trait is no markup
    assert text.index("page") < text.index("Order Completed")  # the commonest first


def test_a_profile_of_nothing_is_shown_too() -> None:
    empty = profile_document(Profile(Head("p_1", 0), NOTHING))

    assert "never to never" in shown(profile_panel(empty | {"is_shared_device": True}))


def test_a_table_tells_what_it_leaves_out() -> None:
    text = shown(rows_table(("n", "word"), [(str(n), None) for n in range(250)]))

    assert "null" in text
    assert "and 50 rows more" in text


def test_a_status_names_lag_and_trouble() -> None:
    status = {
        "outcomes": {"EventsAccepted": 1234},
        "lag_ms": {"stitch": 1500, "archive": None, "activate": None},
        "waiting": {"activate": 7},
        "errors": {"serve": 2},
        "undelivered": 3,
    }

    text = shown(status_view(status))

    for part in (
        "1,234",
        "1.5 s behind",
        "no records",
        "7 records wait",
        "serve: failed invocations",
        "deliveries given up",
    ):
        assert part in text


def test_short_rows_and_names_like_markup_are_shown_as_they_are() -> None:
    text = shown(rows_table(("[/]", "[bold]b"), [("[/]",), ()]))

    assert text.count("[/]") == 2
    assert "[bold]b" in text
    assert text.count("null") == 3
    assert shown(rows_table((), [("1",)])).strip() == ""


def test_a_profile_has_no_markup_anywhere(profile: dict[str, Any]) -> None:
    orders = {"[/]": {"orders": 1, "units": 1, "gross": "1", "refunded": "0", "net": "1"}}

    text = shown(profile_panel(profile | {"orders": orders, "profile_id": "[/p]", "fragments": 1, "devices": []}))

    assert "orders [/]" in text
    assert "profile [/p]" in text
    assert "1 fragment on 0 devices, 1 merge" in text


def test_what_is_too_wide_for_a_table_is_shown_row_by_row() -> None:
    columns = tuple(f"column_{number}" for number in range(20))
    rows = [(*["[/]" * 5] * 19, "x" * 500)]
    narrow, wide = Console(width=100), Console(width=1_000)

    text = shown(answer_view(narrow, columns, rows))

    assert "column_0: [/][/]" in text
    assert text.count("x") == 200
    assert "row 1" not in shown(answer_view(wide, columns, rows))
