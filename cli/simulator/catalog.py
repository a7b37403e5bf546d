"""What the simulated shop sells, where its people live, and how they come."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class Product:
    product_id: str
    name: str
    category: str
    price: Decimal


PRODUCTS: Final = tuple(
    Product(product_id, name, category, Decimal(price))
    for product_id, name, category, price in (
        ("C-101", "Espresso Blend 1 kg", "coffee", "21.90"),
        ("C-102", "Filter Roast 500 g", "coffee", "13.40"),
        ("C-103", "Decaf 250 g", "coffee", "8.95"),
        ("C-104", "Cold Brew Pack", "coffee", "11.25"),
        ("T-201", "Earl Grey 100 g", "tea", "7.80"),
        ("T-202", "Sencha 100 g", "tea", "12.60"),
        ("T-203", "Rooibos 250 g", "tea", "9.15"),
        ("T-204", "Mint Leaves 50 g", "tea", "4.35"),
        ("E-301", "Hand Grinder", "equipment", "64.00"),
        ("E-302", "Gooseneck Kettle", "equipment", "79.50"),
        ("E-303", "Espresso Machine", "equipment", "449.00"),
        ("E-304", "French Press", "equipment", "34.99"),
        ("E-305", "Scale", "equipment", "29.70"),
        ("E-306", "Milk Frother", "equipment", "24.45"),
        ("U-401", "Stoneware Mug", "cups", "14.20"),
        ("U-402", "Glass Cups, Set of 4", "cups", "27.10"),
        ("U-403", "Travel Mug", "cups", "22.85"),
        ("S-501", "Oat Biscuits", "snacks", "3.65"),
        ("S-502", "Dark Chocolate", "snacks", "4.99"),
        ("S-503", "Almond Cantuccini", "snacks", "6.40"),
    )
)

CAMPAIGNS: Final = (
    {"source": "google", "medium": "cpc", "name": "spring_roast", "term": "espresso"},
    {"source": "instagram", "medium": "social", "name": "latte_art"},
    {"source": "newsletter", "medium": "email", "name": "april_news"},
    {"source": "teablog", "medium": "affiliate", "name": "sencha_review", "content": "sidebar"},
)

COUNTRIES: Final = ("DE", "DE", "DE", "FR", "FR", "NL", "AT", "IT")  # repeated for weight
FIRST_NAMES: Final = (
    "Ada", "Bela", "Chiara", "Dario", "Elif", "Femke", "Goran", "Hanna", "Ines", "Jonas", "Kaya", "Luca", "Mila",
    "Noor", "Otto", "Paula", "Quirin", "Rosa", "Sami", "Tilda", "Ugo", "Vera", "Wim", "Xenia", "Yara", "Zoe",
)  # fmt: skip
LAST_NAMES: Final = (
    "Arendt", "Bakker", "Costa", "Dubois", "Eder", "Fischer", "Greco", "Huber", "Iversen", "Jansen", "Keller",
    "Lorenz", "Moreau", "Novak", "Oliveira", "Petit", "Rossi", "Sommer", "Toth", "Visser", "Weber",
)  # fmt: skip
MAIL_DOMAINS: Final = ("posteo-demo.net", "brief-demo.eu", "inbox-demo.org")
