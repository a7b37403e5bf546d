"""What happens in the shop on one day: browsing, buying, refunds, mail, support, the till, and a family's tablet."""

import random
from datetime import date
from decimal import Decimal
from typing import Any

from cli.simulator.catalog import CAMPAIGNS, PRODUCTS, Product
from cli.simulator.day import Day
from cli.simulator.people import Device, Family, Party, populate
from cli.simulator.plan import Diary, external_ids, person_on, web_context
from cli.simulator.truth import tell_truth

MINUTE = 60_000
SHIPPING, SHIPPING_FREE_FROM = Decimal("4.90"), Decimal(50)
DEFAULT_DAY = date(2026, 3, 14)

CHANCES = {
    "landing by campaign": 0.6,
    "plain page": 0.3,
    "into the cart": 0.25,
    "order": 0.6,
    "refund": 0.12,
    "refund of all": 0.5,
    "till purchase": 0.7,
    "till repeat": 0.1,
    "mail opened": 0.5,
    "link clicked": 0.3,
    "mail repeat": 0.03,
    "support": 0.2,
    "survey": 0.8,
    "withdrawal": 0.08,
}

Basket = list[tuple[Product, int]]


def simulate(seed: int = 1, persons: int = 200, day: date = DEFAULT_DAY) -> Day:
    """Plan a day; no network, no clock. About thirty messages a person."""
    rng = random.Random(seed)
    parties, families = populate(rng, persons)
    diary = Diary(rng, day)
    shop = _Shop(rng, diary)
    for party in parties:
        if party.label == "shopper":
            shop.live_shopper(party)
        elif party.label == "visitor":
            shop.visit(party, party.devices[0], None, at=diary.clock(rng.uniform(7, 21)))
        elif party.label == "cardholder":
            shop.live_cardholder(party)
        elif party.label == "subscriber":
            shop.receive_mail(party, subscribes=True)
    for family in families:
        shop.share_tablet(family)
    return Day(diary.calls(), tell_truth(diary.entries, parties))


class _Shop:
    def __init__(self, rng: random.Random, diary: Diary) -> None:
        self._rng = rng
        self._diary = diary
        self._orders = 0

    def _happens(self, what: str) -> bool:
        return self._rng.random() < CHANCES[what]

    def live_shopper(self, party: Party) -> None:
        """Browse without an account, sign up, come back on each further device, buy, get mail, ask for help."""
        rng = self._rng
        at = self._diary.clock(rng.uniform(6.5, 11))
        for number, device in enumerate(party.devices):
            basket, at = self.visit(party, device, None, at=at, campaign=self._happens("landing by campaign"))
            at = self.sign_in(party, device, at + MINUTE, is_new=number == 0)
            more, at = self.visit(party, device, party, at=at + MINUTE)
            if (basket or more) and self._happens("order"):
                at = self.order(party, basket + more, at + 2 * MINUTE)
            at += round(rng.uniform(20, 150)) * MINUTE
        if party.card:
            self.link_card(party, at)
            if self._happens("till purchase"):
                self.buy_at_till(party, self._diary.clock(rng.uniform(15, 19.5)))
        self.receive_mail(party)
        if self._happens("support"):
            self.ask_support(party, self._diary.clock(rng.uniform(17, 21)))
        if party.consents and self._happens("withdrawal"):
            self.withdraw_consent(party, self._diary.clock(22.5))

    def visit(
        self, party: Party, device: Device, person: Party | None, *, at: int, campaign: bool = False
    ) -> tuple[Basket, int]:
        """Look at pages and products; put some into the cart.

        Returns:
            The basket, and the time of the last message.
        """
        rng = self._rng
        touch = rng.choice(CAMPAIGNS) if campaign else None
        basket: Basket = []
        for step in range(rng.randint(5, 10)):
            at += round(rng.uniform(10, 120)) * 1000
            product = rng.choice(PRODUCTS)
            context = web_context(party, touch if step == 0 else None)
            if step == 0 or self._happens("plain page"):
                page = {
                    "title": product.category,
                    "url": f"https://shop.demo/{product.category}",
                    "path": f"/{product.category}",
                }
                message = {"type": "page", "name": product.category, "properties": page}
                self._say(party, device, person, at, message, context=context)
                continue
            viewed = {**_product(product, 1), "currency": "EUR"}
            self._say(party, device, person, at, _track("Product Viewed", viewed), context=context)
            if self._happens("into the cart"):
                at += 5_000
                quantity = rng.choice((1, 1, 1, 2, 3))
                basket.append((product, quantity))
                added = {**_product(product, quantity), "cart_id": f"cart-{device.anonymous_id[:8]}", "currency": "EUR"}
                self._say(party, device, person, at, _track("Product Added", added), context=context)
        return basket, at

    def _say(
        self,
        owner: Party,
        device: Device,
        person: Party | None,
        at: int,
        message: dict[str, Any],
        *,
        context: dict[str, Any],
    ) -> None:
        whole = {**message, **person_on(device, person), "context": context}
        self._diary.write(owner, "web", at, whole, transport=device.transport)

    def sign_in(self, person: Party, device: Device, at: int, *, is_new: bool) -> int:
        traits = {
            "email": person.email,
            "firstName": person.first_name,
            "lastName": person.last_name,
            "country": person.country,
        }
        if person.phone:
            traits["phone"] = person.phone
        self._say(person, device, person, at, {"type": "identify", "traits": traits}, context=web_context(person))
        name = "Signed Up" if is_new else "Signed In"
        self._say(person, device, person, at + 500, _track(name, {"method": "email"}), context=web_context(person))
        return at + 500

    def order(self, person: Party, basket: Basket, at: int) -> int:
        """The shop's server reports the order, and sometimes a refund of it later in the day."""
        order_id, properties = self._order(person, basket, shipping=True)
        self._serve(person, at, _track("Order Completed", properties))
        if self._happens("refund"):
            refunded = basket if self._happens("refund of all") else basket[:1]
            goods = sum((product.price * quantity for product, quantity in refunded), Decimal(0))
            refund = {
                "order_id": order_id,
                "refund_id": f"R-{order_id}",
                "total": float(goods),
                "currency": "EUR",
                "country": person.country,
                "products": [_product(product, quantity) for product, quantity in refunded],
            }
            self._serve(person, at + round(self._rng.uniform(30, 90)) * MINUTE, _track("Order Refunded", refund))
        return at

    def _order(self, person: Party, basket: Basket, *, shipping: bool) -> tuple[str, dict[str, Any]]:
        self._orders += 1
        order_id = f"{self._diary.day:%y%m%d}-{self._orders:05d}"
        goods = sum((product.price * quantity for product, quantity in basket), Decimal(0))
        fee = SHIPPING if shipping and goods < SHIPPING_FREE_FROM else Decimal(0)
        return order_id, {
            "order_id": order_id,
            "revenue": float(goods),
            "shipping": float(fee),
            "total": float(goods + fee),
            "currency": "EUR",
            "country": person.country,
            "products": [_product(product, quantity) for product, quantity in basket],
        }

    def _serve(self, person: Party, at: int, message: dict[str, Any]) -> None:
        whole = {**message, "userId": person.user_id, "context": web_context(person)}
        self._diary.write(person, "server", at, whole, transport="sdk")

    def link_card(self, person: Party, at: int) -> None:
        message = {
            **_track("Loyalty Card Linked", {}),
            "userId": person.user_id,
            "context": external_ids(external_id=person.card),
        }
        self._diary.write(person, "server", at, message, transport="sdk")

    def live_cardholder(self, person: Party) -> None:
        """Known by a card alone: the till is all that this customer ever meets."""
        at = self._diary.clock(self._rng.uniform(9, 12))
        context = {
            **external_ids(external_id=person.card),
            "consent": {"categoryPreferences": {"marketing": person.consents}},
        }
        issued = {"type": "identify", "traits": {"country": person.country, "loyalty": "basic"}, "context": context}
        self._diary.write(person, "till", at, issued)
        for hour in range(self._rng.choice((1, 2, 2))):
            self.buy_at_till(person, self._diary.clock(13 + 3 * hour + self._rng.random()))

    def buy_at_till(self, person: Party, at: int) -> None:
        basket = [(self._rng.choice(PRODUCTS), self._rng.choice((1, 1, 2))) for _ in range(self._rng.randint(1, 4))]
        _, properties = self._order(person, basket, shipping=False)
        message = {**_track("Order Completed", properties), "context": external_ids(external_id=person.card)}
        self._diary.write(person, "till", at, message, is_repeated=self._happens("till repeat"))

    def receive_mail(self, person: Party, *, subscribes: bool = False) -> None:
        """The mail service knows an address and nothing else, and delivers its notices at least once."""
        rng = self._rng
        at = self._diary.clock(rng.uniform(12, 14))
        context = external_ids(email=person.email)
        mail = {
            "email_id": "april-news",
            "email_subject": "New harvest",
            "campaign_id": "april_news",
            "campaign_name": "April news",
        }
        if subscribes:
            consent = {"consent": {"categoryPreferences": {"marketing": person.consents}}}
            traits = {"email": person.email, "firstName": person.first_name, "country": person.country}
            self._diary.write(
                person,
                "mail",
                at - 60 * MINUTE,
                {"type": "identify", "traits": traits, "context": {**context, **consent}},
            )
        steps = ["Email Delivered"]
        if self._happens("mail opened"):
            steps += ["Email Opened"] * rng.choice((1, 1, 2))
            steps += ["Email Link Clicked"] if self._happens("link clicked") else []
        for name in steps:
            properties = {**mail, "link_url": "https://shop.demo/new"} if name == "Email Link Clicked" else mail
            message = {**_track(name, properties), "context": context}
            self._diary.write(person, "mail", at, message, is_repeated=self._happens("mail repeat"))
            at += round(rng.uniform(1, 40)) * MINUTE

    def ask_support(self, person: Party, at: int) -> None:
        """The help desk's chat; afterwards it asks how likely one is to recommend the shop."""
        rng = self._rng
        chat = {"conversation_id": f"chat-{person.user_id}", "agent_name": rng.choice(("Robin", "Sascha"))}
        context = external_ids(email=person.email)
        seconds = rng.randint(90, 1200)
        steps: list[tuple[str, dict[str, Any], int]] = [
            ("Live Chat Conversation Started", chat, 0),
            ("Live Chat Message Sent", chat, 20),
            ("Live Chat Message Received", chat, 60),
            ("Live Chat Conversation Ended", {**chat, "conversation_duration": seconds}, seconds),
        ]
        if self._happens("survey"):
            steps.append(("Survey Answered", {**chat, "nps": rng.choice((3, 6, 7, 8, 9, 9, 10, 10))}, seconds + 45))
        for name, properties, after_s in steps:
            self._diary.write(person, "support", at + after_s * 1000, {**_track(name, properties), "context": context})

    def withdraw_consent(self, person: Party, at: int) -> None:
        person.consents = False
        message = _track("Segment Consent Preference Updated", {})
        self._say(person, person.devices[-1], person, at, message, context=web_context(person))

    def share_tablet(self, family: Family) -> None:
        """Somebody looks around, then each member signs in, and in between nobody is."""
        tablet = family.tablet.devices[0]
        at = self._diary.clock(19)
        for member in family.members:
            _, at = self.visit(family.tablet, tablet, None, at=at + 3 * MINUTE)
            at = self.sign_in(member, tablet, at + MINUTE, is_new=False)
            basket, at = self.visit(member, tablet, member, at=at + MINUTE)
            if basket:
                at = self.order(member, basket, at + MINUTE)


def _track(event: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "event": event, "properties": properties}


def _product(product: Product, quantity: int) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "name": product.name,
        "category": product.category,
        "price": float(product.price),
        "quantity": quantity,
    }
