// Tells the story through a server SDK for Node. Arguments: the SDK, the collector's URL, the write key, the story.
import { createRequire } from "node:module";
const require = createRequire(process.env.CLIENTS_FOLDER + "/package.json");

const [sdk, url, key, told] = process.argv.slice(2);
const story = JSON.parse(told);
const problems = [];

const context = { campaign: story.campaign, page: { url: story.page, title: story.title } };
const { user: userId, device: anonymousId } = story;

function tell(client) {
  client.page({ anonymousId, name: story.title, properties: { url: story.page }, context });
  client.track({ anonymousId, event: "Product Viewed", properties: { product_id: "hat-1" } });
  client.identify({ userId, anonymousId, traits: story.traits });
  client.track({ userId, event: "Order Completed", properties: story.order });
  client.track({ userId, event: "Order Refunded", properties: story.refund });
  client.screen?.({ userId, name: "Basket" });
  client.group({ userId, groupId: "acme", traits: { seats: 5 } });
  client.alias({ previousId: story.former, userId });
}

const SDKS = {
  "segment-node": async () => {
    const { Analytics } = require("@segment/analytics-node");
    const client = new Analytics({ writeKey: key, host: url, flushAt: 2, maxRetries: 10 });
    client.on("error", (error) => problems.push(String(error.code ?? error)));
    tell(client);
    await client.closeAndFlush({ timeout: 60_000 });
  },
  "segment-node-old": async () => {
    const { Analytics } = require("analytics-node-old");
    const client = new Analytics({ writeKey: key, host: url, flushAt: 2, maxRetries: 10 });
    client.on("error", (error) => problems.push(String(error.code ?? error)));
    tell(client);
    await client.closeAndFlush({ timeout: 60_000 });
  },
  "analytics-node": async () => {
    const Analytics = require("analytics-node");
    const client = new Analytics(key, { host: url, flushAt: 2, retryCount: 10 });
    tell(client);
    await client.flush();
    await new Promise((resolve) => setTimeout(resolve, 8_000));
  },
  "rudder-node": async () => {
    const RudderAnalytics = require("@rudderstack/rudder-sdk-node");
    const client = new (RudderAnalytics.default ?? RudderAnalytics)(key, {
      dataPlaneUrl: url, flushAt: 2, flushInterval: 500, retryCount: 10, logLevel: "silent",
    });
    tell(client);
    await client.flush();
    await new Promise((resolve) => setTimeout(resolve, 8_000));
  },
  "snowplow-node": async () => {
    const { newTracker, buildPageView, buildSelfDescribingEvent } = require("@snowplow/node-tracker");
    const tracker = newTracker(
      { namespace: "t", appId: `app-${sdk}`, encodeBase64: true },
      { endpoint: url, eventMethod: "post", bufferSize: 1 },
    );
    const iglu = "iglu:com.snowplowanalytics.snowplow";
    tracker.setDomainUserId(story.device);
    tracker.track(buildPageView({ pageUrl: story.page, pageTitle: story.title }));
    tracker.setUserId(userId);
    const product = { id: "hat-1", category: "hats", price: 20.25, quantity: 2, currency: "EUR" };
    const transaction = { transaction_id: story.order.order_id, revenue: story.order.total, currency: "EUR" };
    const refund = { transaction_id: story.order.order_id, refund_amount: story.refund.total, currency: "EUR" };
    const act = (type, entities) =>
      tracker.track(
        buildSelfDescribingEvent({
          event: { schema: `${iglu}.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2`, data: { type } },
        }),
        entities.map(([name, data]) => ({ schema: `${iglu}.ecommerce/${name}/jsonschema/1-0-0`, data })),
      );
    act("transaction", [
      ["transaction", transaction],
      ["product", product],
      ["user", { id: userId, email: story.traits.email }],
    ]);
    act("refund", [["refund", refund]]);
    await new Promise((resolve) => setTimeout(resolve, 8_000));
  },
};

await SDKS[sdk]();
console.log(JSON.stringify({ problems }));
process.exit(0);
