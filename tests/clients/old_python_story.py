"""Tells the story through an older Python SDK of Segment; arguments as for the SDKs of Node, PYTHONPATH has the SDK."""

import importlib
import json
import sys


def main(module: str, url: str, key: str, told: str) -> None:
    story = json.loads(told)
    client_class = importlib.import_module(module).Client
    problems: list[str] = []
    client = client_class(key, host=url, on_error=lambda error, items: problems.append(str(error)))
    device, user = story["device"], story["user"]
    context = {"campaign": story["campaign"], "page": {"url": story["page"], "title": story["title"]}}
    client.page(anonymous_id=device, name=story["title"], properties={"url": story["page"]}, context=context)
    client.track(anonymous_id=device, event="Product Viewed", properties={"product_id": "hat-1"})
    client.flush()
    client.identify(user, story["traits"], anonymous_id=device)
    client.flush()
    client.track(user, "Order Completed", story["order"])
    client.flush()
    client.track(user, "Order Refunded", story["refund"])
    client.flush()
    client.screen(user, name="Basket")
    client.group(user, "acme", {"seats": 5})
    client.alias(story["former"], user)
    client.flush()
    client.join()
    print(json.dumps({"problems": problems}))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
