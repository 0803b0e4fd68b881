// A server none of whose answers is quite like another, over HTTP/1.1, and its clients.
//
// `serve ADDRESS PORT [FAULT=SHARE...]` serves, and says at its end how often each fault occurred.
// `ask HOST:PORT,... COUNT CONNECTIONS RATE` asks so many mixed requests, so many a second at most, and says how many were
// answered.

import { randomUUID } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const SLOWER_MS = 20;
const below = (bound) => Math.floor(Math.random() * bound);
const chance = (share) => Math.random() < share;
const pick = (...of) => of[below(of.length)];
const token = () => randomUUID().replaceAll("-", "");
const word = () => Array.from({ length: 6 }, () => String.fromCharCode(97 + below(26))).join("");
const seconds = () => Date.now() / 1000;

function shuffled(items) {
  for (let at = items.length - 1; at > 0; at -= 1) {
    const other = below(at + 1);
    [items[at], items[other]] = [items[other], items[at]];
  }
  return items;
}

/** A number that is the same for the same words, on every server. */
function settled(...words) {
  let hash = 2166136261;
  for (const letter of words.join(":")) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  return (hash ^ (hash >>> 15)) >>> 0;
}

const name = (number) => ["red", "blue", "calm", "old"][number % 4] + "-" + ["oak", "elm", "ash", "fir"][(number >> 2) % 4];
const uuidOf = (number) => `${settled("u", number).toString(16).padStart(8, "0")}-5f3e-4a8e-9d8e-0f5f0d2a7b11`;

// ---------------------------------------------------------------- the server

const BEGUN = Date.now() - below(100_000);
const SELF = token();
let served = below(1000);

/** What a server makes anew every so often, by itself. */
const madeAnew = (everyMs, key) => settled(SELF, key, Math.floor((Date.now() + settled(SELF, key)) / everyMs));
/** What all servers have in common, as in a database, and what changes there. */
const shared = (everyMs, key) => settled(key, Math.floor((Date.now() + settled(key)) / everyMs));

function item(number) {
  const fields = {
    id: number,
    price: (settled("price", number) % 100_000) / 100,
    stock: shared(20_000, `stock ${number}`) % 50,
    at: seconds(),
    token: token(),
    tags: shuffled(["new", "sale", "eco", "top"]),
    promo: chance(0.002) ? word() : null,
    queue: Math.max(0, below(10) - 7),
    took_us: 40 + below(50),
    memory: process.memoryUsage.rss(),
  };
  if (chance(0.003)) fields.debug = word();
  return Object.fromEntries(shuffled(Object.entries(fields)));
}

function profile(number) {
  const labels = Object.fromEntries(Array.from({ length: below(3) }, () => [word(), below(9)]));
  return {
    name: `user ${number}`,
    variant: pick("A", "B"),
    score: chance(0.01) ? String(number % 9) : number % 9,
    last_seen: new Date().toISOString(),
    session: token(),
    labels: { ...labels, n: 1 },
    jwt: `${token()}.${token()}`,
    beta: chance(0.0005),
  };
}

function search(number) {
  const parts = shuffled([0.1, 0.2, 0.3, 1 / 3, 1e-3 * number]);
  const hits = Array.from({ length: 1 + (number % 12) }, (_, at) => ({
    id: number + at,
    score: parts.reduce((sum, part) => sum + part, at),
    highlight: name(number + at),
  }));
  const partial = chance(0.002);
  return { total: number % 500, hits, took: below(30), timed_out: partial, shards: { ok: partial ? 4 : 5, of: 5 } };
}

function page(number) {
  const lines = ["<html>", `<head><title>${name(number)}</title>`];
  for (let at = 0; at < 20; at += 1) lines.push(`<script nonce="${token()}" src="/static/${at}.js"></script>`);
  lines.push("</head>", `<input name=csrf value=${token()}>`);
  if (chance(0.1)) lines.push("<div class=new>", "<b>try the new page</b>", "</div>");
  for (let line = 0; line < 30; line += 1) lines.push(`<p>${name(number + line)} is line ${line}</p>`);
  for (let count = below(4); count > 0; count -= 1) lines.push(`<aside>${word()}</aside>`);
  lines.push(`<p>price ${number % 100}</p>`, `<footer>${new Date().toUTCString()}</footer>`, "</html>");
  return lines.join("\n");
}

function graph(number) {
  if (chance(0.005)) return { data: null, errors: [{ message: "timeout", id: token() }] };
  return { data: { user: { id: number, name: `user ${number}`, cursor: token() } } };
}

function status() {
  return {
    uptime: Math.floor((Date.now() - BEGUN) / 1000),
    served,
    load: (madeAnew(2000, "load") % 400) / 100,
    snapshot: madeAnew(8000, "snapshot"),
    queue: Math.max(0, below(8) - 4),
    version: "7.1",
    ok: true,
    workers: Array.from({ length: 1 + below(5) }, () => "idle"),
  };
}

const feed = (number) => ({
  items: Array.from({ length: 30 }, (_, at) => ({ id: token(), price: number * 30 + at, views: below(99) })),
  more: true,
});
const events = () => Array.from({ length: 12 }, (_, at) => JSON.stringify({ seq: at, id: randomUUID(), at: Date.now() })).join("\n");
const xml = (number) => `<?xml version="1.0"?>\n<order id="${number}">\n<at>${new Date().toISOString()}</at>\n<key>${token()}</key>\n<sum>${number * 3}</sum>\n</order>\n`;
const metrics = () => Array.from({ length: 25 }, (_, at) => `metric_${at} ${below(1000 + at)}`).join("\n") + "\nbuild 7\n";
const scripts = new Map(Array.from({ length: 50 }, (_, at) => [at, `function f() { return ${at}; }\n`.repeat(20)]));
const file = Buffer.from(Array.from({ length: 20_000 }, (_, at) => at * 31));

/** Kinds of answers: share of the requests, how one asks, and what is answered (type, content, more fields). */
const KINDS = {
  items: [22, (n) => ["GET", `/api/items/${n}`], (n) => ["json", item(n), { "X-Cache": madeAnew(3000, n) % 4 ? "HIT" : "MISS" }]],
  users: [10, (n) => ["GET", `/api/users/${uuidOf(n)}/profile`], (n) => ["json", profile(n)]],
  search: [9, (n) => ["GET", `/api/search?q=${name(n)}&n=${n % 700}`], (n) => ["json", search(n % 700)]],
  pages: [9, (n) => ["GET", `/pages/${n % 300}`], (n) => ["html", page(n % 300)]],
  static: [8, (n) => ["GET", `/static/${n % 50}.js`], (n) => ["javascript", scripts.get(n % 50), { "Cache-Control": "max-age=3600" }]],
  orders: [8, (n) => ["POST", "/api/orders", `{"item":${n},"nonce":"${token()}"}`],
    (n) => ["json", { order: randomUUID(), number: served, status: chance(0.02) ? "queued" : "done", item: n, total: (n * 3) % 700, created: Date.now() }, { Location: `/api/orders/${randomUUID()}` }]],
  status: [6, () => ["GET", "/api/status"], () => ["json", status()]],
  feed: [4, (n) => ["GET", `/api/feed?after=${n % 20}`], (n) => ["json", feed(n % 20)]],
  cart: [5, (n) => ["GET", "/cart"], (n, cookie) => ["json", { owner: cookie, items: shuffled(Array.from({ length: cookie % 7 }, (_, at) => cookie * 10 + at)), csrf: token() }, { "Set-Cookie": `sid=${token()}; Path=/; HttpOnly`, "X-Plan": "basic" }]],
  files: [2, (n) => ["GET", `/files/${n % 100}.bin`], (n) => ["octet-stream", file.subarray(n % 100)]],
  login: [3, (n) => ["GET", `/login?_=${token()}`], () => ["html", "", { Location: `/welcome?ticket=${token()}` }]],
  metrics: [3, () => ["GET", "/metrics"], () => ["plain", metrics()]],
  graphql: [4, (n) => ["POST", "/graphql", `{"query":"user(id:${n})","at":${Date.now()}}`], (n) => ["json", graph(n)]],
  events: [3, (n) => ["GET", `/events/${n % 30}`], () => ["plain", events()]],
  xml: [4, (n) => ["GET", `/xml/${n}`], (n) => ["xml", xml(n)]],
};
const TYPES = { json: "application/json", html: "text/html; charset=utf-8", javascript: "text/javascript", plain: "text/plain", xml: "application/xml", "octet-stream": "application/octet-stream" };
const CODINGS = { users: "gzip", feed: "gzip", xml: "br" };

/** Faults of a server: which kind of requests have them. */
const FAULTY = { price: "items", error: "items", version: "cart", slow: "search", closed: "pages", short: "users", element: "feed" };
const shares = new Map();
const occurred = {};
const asked = {};

/** Whether an answer has a fault: exactly its share of them, evenly spread. */
function isFaulty(fault, kind) {
  if (FAULTY[fault] !== kind || !shares.has(fault)) return false;
  asked[fault] = (asked[fault] ?? 0) + 1;
  const due = Math.floor(asked[fault] * shares.get(fault) + 0.5);
  if (due <= (occurred[fault] ?? 0)) return false;
  occurred[fault] = due;
  return true;
}

function fields(kind, type, more) {
  const all = {
    "Content-Type": TYPES[type],
    "X-Request-Id": randomUUID(),
    "X-Trace": `00-${token()}-${token().slice(16)}-01`,
    "X-Served-By": `web-${below(3)}`,
    ETag: `"${token()}"`,
    "X-Timestamp": seconds().toFixed(3),
    "Server-Timing": `db;dur=${(Math.random() * 9).toFixed(2)}`,
    "X-RateLimit-Remaining": 1000 - (served % 1000),
    ...more,
  };
  if (chance(0.0004)) all.Warning = "110 - stale";
  if (!isFaulty("version", kind)) all["X-Version"] = "7";
  return all;
}

function coded(kind, content) {
  if (CODINGS[kind] === "gzip") return gzipSync(content, { level: 1 });
  const params = { [constants.BROTLI_PARAM_QUALITY]: 1 };
  return CODINGS[kind] === "br" ? brotliCompressSync(content, { params }) : Buffer.from(content);
}

function answer(kind, number, cookie, response) {
  served += 1;
  if (chance(0.001)) {
    response.writeHead(503, { "Content-Type": "application/json", "Retry-After": "1" });
    return response.end(JSON.stringify({ error: "overloaded", request: randomUUID() }));
  }
  if (isFaulty("error", kind)) {
    response.writeHead(500, { "Content-Type": "text/plain" });
    return response.end("out of order");
  }
  const [type, content, more] = KINDS[kind][2](number, cookie);
  if (isFaulty("price", kind)) content.price += 1;
  if (isFaulty("element", kind)) content.items[20].price += 1;
  const text = typeof content === "string" || Buffer.isBuffer(content) ? content : JSON.stringify(content);
  const body = coded(kind, text);
  const all = fields(kind, type, more);
  if (CODINGS[kind]) all["Content-Encoding"] = CODINGS[kind];
  const code = kind === "login" ? 302 : kind === "orders" ? 201 : 200;
  if (isFaulty("short", kind)) return response.writeHead(code, { ...all, "Content-Length": body.length >> 1 }).end(body.subarray(0, body.length >> 1));
  if (isFaulty("closed", kind)) {
    response.writeHead(code, { ...all, "Content-Length": body.length }).write(body.subarray(0, body.length >> 1));
    return response.socket.end();
  }
  // Every second kind is sent in chunks.
  const length = kind.length % 2 ? { "Content-Length": body.length } : {};
  response.writeHead(code, { ...all, ...length });
  response.write(body.subarray(0, 100));
  return response.end(body.subarray(100));
}

function serve(address, port, faults) {
  for (const fault of faults) {
    const [which, share] = fault.split("=");
    if (!(which in FAULTY)) throw new Error(`there is no fault ${which}`);
    shares.set(which, Number(share));
  }
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const [, kind, number] = request.headers["x-asked"].split(" ");
      const cookie = Number(/sid=(\d+)/.exec(request.headers.cookie ?? "")?.[1] ?? 0);
      const wait = (isFaulty("slow", kind) ? SLOWER_MS : 0) + (chance(0.0005) ? 30 : 0);
      if (wait) setTimeout(answer, wait, kind, Number(number), cookie, response);
      else answer(kind, Number(number), cookie, response);
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(port), address);
  process.on("SIGTERM", () => {
    console.log(`faults ${JSON.stringify(occurred)}`);
    process.exit(0);
  });
}

// ---------------------------------------------------------------- the clients

const lottery = Object.entries(KINDS).flatMap(([kind, [share]]) => Array.from({ length: share }, () => kind));

/** Asks one request, and waits for the end of its answer. */
function ask(agent, host, port, isLast) {
  const kind = pick(...lottery);
  const number = Math.floor((below(4000) * below(4000)) / 4000);
  const [method, path, body] = KINDS[kind][1](number);
  const headers = { Host: "shop.example", "X-Asked": `- ${kind} ${number}`, "Accept-Encoding": "gzip, br" };
  if (kind === "cart") headers.Cookie = `sid=${below(200)}`;
  if (body) headers["Content-Length"] = Buffer.byteLength(body);
  if (isLast) headers.Connection = "close";
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, host, port, method, path, headers }, (response) => {
      response.on("data", () => {});
      response.on("end", resolve);
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function client(place, host, port, take) {
  const localAddress = `10.100.10.${11 + (place % 3)}`;
  const isShort = place % 4 === 3;
  const agent = new http.Agent({ keepAlive: !isShort, maxSockets: 1, localAddress });
  let answered = 0;
  for (;;) {
    const wait = take();
    if (wait < 0) break;
    if (wait > 1) await sleep(wait);
    await ask(agent, host, port, isShort && answered % 2 === 0);
    answered += 1;
  }
  agent.destroy();
  return answered;
}

async function askAll(hosts, count, connections, rate) {
  const begun = performance.now();
  let taken = 0;
  // How long to wait before the next request; less than nothing when there is none.
  const take = () => {
    if (taken >= count) return -1;
    taken += 1;
    return Math.max(0, begun + (taken * 1000) / rate - performance.now());
  };
  const ends = hosts.split(",").map((host) => host.split(":"));
  const clients = Array.from({ length: connections }, (_, place) => client(place, ...ends[place % ends.length], take));
  const answered = await Promise.all(clients);
  console.log(answered.reduce((sum, one) => sum + one, 0));
}

const [mode, ...words] = process.argv.slice(2);
if (mode === "serve") serve(words[0], words[1], words.slice(2));
else await askAll(words[0], ...words.slice(1).map(Number));
