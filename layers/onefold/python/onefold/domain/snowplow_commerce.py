"""Snowplow's e-commerce events in the words of the e-commerce specification that everything else here reads."""

from collections.abc import Mapping
from typing import Any, Final

ACTION_EVENT: Final = "snowplow_ecommerce_action"
ORDER_COMPLETED, ORDER_REFUNDED = "Order Completed", "Order Refunded"
NAME_OF_ACTION: Final = {
    "product_view": "Product Viewed",
    "list_view": "Product List Viewed",
    "list_click": "Product Clicked",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "checkout_step": "Checkout Step Completed",
    "transaction": ORDER_COMPLETED,
    "refund": ORDER_REFUNDED,
    "promo_view": "Promotion Viewed",
    "promo_click": "Promotion Clicked",
}

# An entity's fields under the names that they have here; every other field keeps its own.
_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "product": {"id": "product_id"},
    "transaction": {
        "transaction_id": "order_id",
        "revenue": "total",
        "discount_code": "coupon",
        "discount_amount": "discount",
    },
    "refund": {"transaction_id": "order_id", "refund_amount": "total"},
    "checkout_step": {"coupon_code": "coupon"},
    "promotion": {"id": "promotion_id"},
    "cart": {"total_value": "value"},
}

Entities = Mapping[str, list[dict[str, Any]]]


def commerce_event(name: str, data: dict[str, Any], entities: Entities) -> tuple[str, dict[str, Any]] | None:
    """Name and properties of an e-commerce action with its entities; None for any other event.

    One product's fields stand beside the others, as the specification has it; several are `products`, and those of an
    order always are.
    """
    action = data.get("type")
    known = NAME_OF_ACTION.get(action) if isinstance(action, str) else None
    if name != ACTION_EVENT or known is None:
        return None
    properties: dict[str, Any] = {field: value for field, value in data.items() if field not in {"type", "name"}}
    if data.get("name"):
        properties["list_id"] = data["name"]
    for entity in ("cart", "promotion", "checkout_step", "transaction", "refund"):
        for described in entities.get(entity, ())[:1]:
            properties |= _renamed(entity, described)
    products = [_renamed("product", product) for product in entities.get("product", ())]
    if len(products) == 1 and known not in {ORDER_COMPLETED, ORDER_REFUNDED}:
        return known, products[0] | properties
    return known, properties | ({"products": products} if products else {})


def _renamed(entity: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    names = _FIELDS[entity]
    return {names.get(field, field): value for field, value in fields.items() if value is not None}
