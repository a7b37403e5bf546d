// Tells the story through a browser's SDK in headless Chromium. Arguments: the SDK, the collector's URL, the write key,
// the story. The shop's pages come from a server of their own, so that every request to the collector is another
// origin's; no other host can be reached, and who is asked for is reported.
import { createServer } from "node:http";
import { createReadStream, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";

const require = createRequire(process.env.CLIENTS_FOLDER + "/package.json");
const chromium = require("@sparticuz/chromium").default;
const puppeteer = require("puppeteer-core");
const [sdk, collector, key, told] = process.argv.slice(2);
const story = JSON.parse(told);
const MODULES = join(process.env.CLIENTS_FOLDER, "node_modules");
const RETRIES_MS = Number(process.env.RETRIES_MS ?? 9_000);
// An ordinary browser: the collector sets robots apart, of which the headless one is one.
const USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36";

// A person leaves in the same tick as she does something; but RudderStack keeps a batch that is not full in the browser's
// storage, for its next page to send.
const LINGER_MS = sdk === "rudder-batching" ? 1_500 : 0;

const SEGMENT_STORY = (a) => `
  await ${a}.page(${JSON.stringify(story.title)});
  await ${a}.track("Product Viewed", { product_id: "hat-1" });
  await ${a}.identify(story.user, story.traits);
  await ${a}.track("Order Completed", story.order);
  await ${a}.track("Order Refunded", story.refund);
  window.leave = () => { ${a}.track("Left"); ${LINGER_MS ? `setTimeout(() => { location.href = "/left"; }, ${LINGER_MS});` : `location.href = "/left";`} };`;
const RUDDER_STORY = SEGMENT_STORY("a").replaceAll("await ", "");

const SNOWPLOW = (method) => ({
  scripts: ["@snowplow/browser-tracker/dist/index.umd.js"],
  body: `
  const sp = snowplowBrowserTracking;
  const iglu = "iglu:com.snowplowanalytics.snowplow";
  sp.newTracker("sp", ${JSON.stringify(collector)}, { appId: "app-${sdk}", eventMethod: "${method}", bufferSize: 1 });
  sp.trackPageView({ title: story.title });
  sp.trackStructEvent({ category: "video", action: "play", value: 12.5 });
  sp.setUserId(story.user);
  const act = (type, entities) => sp.trackSelfDescribingEvent({
    event: { schema: iglu + ".ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2", data: { type } },
    context: entities.map(([name, data]) => ({ schema: iglu + ".ecommerce/" + name + "/jsonschema/1-0-0", data })),
  });
  const { order_id: transaction_id, total: revenue } = story.order;
  act("transaction", [
    ["transaction", { transaction_id, revenue, currency: "EUR" }],
    ["product", { id: "hat-1", category: "hats", price: 20.25, quantity: 2, currency: "EUR" }],
    ["user", { id: story.user, email: story.traits.email }],
  ]);
  // What failed is sent with the next event, or when the page asks for it.
  setInterval(() => sp.flushBuffer(), 1_000);
  act("refund", [["refund", { transaction_id, refund_amount: story.refund.total, currency: "EUR" }]]);
  window.leave = () => { sp.trackStructEvent({ category: "page", action: "Left" }); location.href = "/left"; };`,
});

const SEGMENT = (name, options = "{}") => ({
  scripts: [`${name}/dist/umd/index.js`],
  body: `
  const a = AnalyticsNext.AnalyticsBrowser.load({ writeKey: ${JSON.stringify(key)}, cdnURL: ${JSON.stringify(collector)} }, ${options});
  ${SEGMENT_STORY("a")}`,
});

const RUDDER = (name, options) => ({
  scripts: [name],
  body: `
  const a = ${name.startsWith("rudder-sdk-js") ? "rudderanalytics" : "new rudderanalytics.RudderAnalytics()"};
  a.load(${JSON.stringify(key)}, ${JSON.stringify(collector)}, { configUrl: ${JSON.stringify(collector)}, ...${options} });
  await new Promise((resolve) => a.ready(resolve) ?? setTimeout(resolve, 3_000));
  ${RUDDER_STORY}`,
});
const RUDDER_V3 = "@rudderstack/analytics-js/dist/npm/legacy/bundled/umd/index.js";

const PAGES = {
  "segment-browser": SEGMENT("@segment/analytics-next"),
  "segment-browser-old": SEGMENT("analytics-next-old"),
  "segment-batching": SEGMENT(
    "@segment/analytics-next",
    `{ integrations: { "Segment.io": { deliveryStrategy: { strategy: "batching", config: { size: 2, timeout: 400 } } } } }`,
  ),
  // The snippet as Segment's documentation has it; a customer changes where it loads from, and adds analytics._cdn.
  "segment-snippet": {
    scripts: [],
    body: `
  !function(){var i="analytics",analytics=window[i]=window[i]||[];if(!analytics.initialize)if(analytics.invoked)window.console&&console.error&&console.error("Segment snippet included twice.");else{analytics.invoked=!0;analytics.methods=["trackSubmit","trackClick","trackLink","trackForm","pageview","identify","reset","group","track","ready","alias","debug","page","screen","once","off","on","addSourceMiddleware","addIntegrationMiddleware","setAnonymousId","addDestinationMiddleware","register"];analytics.factory=function(e){return function(){if(window[i].initialized)return window[i][e].apply(window[i],arguments);var n=Array.prototype.slice.call(arguments);if(["track","screen","alias","group","page","identify"].indexOf(e)>-1){var c=document.querySelector("link[rel='canonical']");n.push({__t:"bpc",c:c&&c.getAttribute("href")||void 0,p:location.pathname,u:location.href,s:location.search,t:document.title,r:document.referrer})}n.unshift(e);analytics.push(n);return analytics}};for(var n=0;n<analytics.methods.length;n++){var key=analytics.methods[n];analytics[key]=analytics.factory(key)}analytics.load=function(key,n){var t=document.createElement("script");t.type="text/javascript";t.async=!0;t.setAttribute("data-global-segment-analytics-key",i);t.src="/modules/@segment/analytics-next/dist/umd/standalone.js";var r=document.getElementsByTagName("script")[0];r.parentNode.insertBefore(t,r);analytics._loadOptions=n};analytics._writeKey=${JSON.stringify(key)};analytics._cdn=${JSON.stringify(collector)};analytics.SNIPPET_VERSION="5.2.1";analytics.load(${JSON.stringify(key)});}}();
  ${SEGMENT_STORY("analytics").replaceAll("await ", "").replaceAll("analytics.", "window.analytics.")}`,
  },
  "rudder-browser": RUDDER(RUDDER_V3, "{}"),
  "rudder-browser-old": RUDDER("rudder-sdk-js/dist/npm/index.js", "{}"),
  "rudder-batching": RUDDER(RUDDER_V3, "{ queueOptions: { batch: { enabled: true, maxItems: 2, flushInterval: 400 } } }"),
  "rudder-beacon": RUDDER(RUDDER_V3, "{ useBeacon: true, beaconQueueOptions: { maxItems: 2, flushQueueInterval: 400 } }"),
  "snowplow-browser": SNOWPLOW("post"),
  "snowplow-pixel": SNOWPLOW("get"),
};

function html() {
  const { scripts, body } = PAGES[sdk];
  const loaded = scripts.map((path) => `<script src="/modules/${path}"></script>`).join("");
  return `<!doctype html><title>${story.title}</title>${loaded}<script>
  const story = ${JSON.stringify(story)};
  (async () => { ${body}
  window.told = true; })().catch((error) => { window.broken = String(error && error.stack || error); });</script>`;
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://shop");
  const file = normalize(join(MODULES, decodeURIComponent(pathname.slice("/modules".length))));
  if (pathname.startsWith("/modules/") && file.startsWith(MODULES) && existsSync(file)) {
    response.writeHead(200, { "content-type": "text/javascript" });
    createReadStream(file).pipe(response);
  } else if (pathname === "/hats") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(html());
  } else {
    response.writeHead(pathname === "/left" ? 200 : 404, { "content-type": "text/html" }).end("<title>Left</title>");
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const shop = `http://localhost:${server.address().port}`;

const browser = await puppeteer.launch({
  args: [...chromium.args, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
const problems = [];
const foreign = new Set();
const page = await browser.newPage();
await page.setUserAgent({ userAgent: USER_AGENT });
page.on("pageerror", (error) => problems.push(String(error)));
page.on("request", (request) => {
  const { host } = new URL(request.url());
  if (host && ![new URL(shop).host, new URL(collector).host].includes(host)) foreign.add(host);
});
await page.goto(`${shop}/hats${new URL(story.page).search}`);
await page.waitForFunction("window.told || window.broken", { timeout: 30_000 });
const broken = await page.evaluate("window.broken");
if (broken) problems.push(broken);
await new Promise((resolve) => setTimeout(resolve, RETRIES_MS));
await page.evaluate("window.leave()").catch(() => {});
await new Promise((resolve) => setTimeout(resolve, 1_500 + LINGER_MS));
await browser.close();
server.close();
console.log(JSON.stringify({ problems, foreign: [...foreign] }));
process.exit(0);
