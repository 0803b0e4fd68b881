// Shows the ledger, which it asks for each second. No number is made here but sums and rates.
"use strict";

const PERIOD_MS = 1000;
const GROUPS = {
  "frames.ignored": "frames ignored",
  "sessions.ended": "sessions ended",
  "requests.not_replayed": "requests not replayed",
  "requests.not_answered": "requests not answered",
  "verdicts.incomparable": "answers incomparable",
  "target.reconnects": "connections opened again",
};

// A session that both sides closed misses nothing.
const ORDINARY = { "sessions.ended": ["closed"] };

const numbers = new Intl.NumberFormat("en");
const at = (object, path) => path.split(".").reduce((value, key) => value?.[key], object);
const sum = (counts) => Object.values(counts ?? {}).reduce((total, count) => total + count, 0);
const element = (id) => document.getElementById(id);

let sentences = {};
let before = null;

async function ask(path) {
  const response = await fetch(path, { cache: "no-store" });
  // 503 of the health resource carries a body like any other.
  return response.json();
}

function time(micros) {
  if (micros < 1000) return `${micros} µs`;
  if (micros < 1e6) return `${(micros / 1e3).toPrecision(3)} ms`;
  return `${(micros / 1e6).toPrecision(3)} s`;
}

function showCounts(ledger) {
  for (const cell of document.querySelectorAll("[data-count]")) {
    const count = at(ledger, cell.dataset.count);
    cell.textContent = numbers.format(count);
    cell.classList.toggle("bad", "bad" in cell.dataset && count > 0);
  }
  for (const cell of document.querySelectorAll("[data-sum]")) {
    cell.textContent = numbers.format(sum(at(ledger, cell.dataset.sum)));
  }
  for (const cell of document.querySelectorAll("[data-time]")) {
    const micros = at(ledger.latency_us, cell.dataset.time);
    cell.textContent = ledger.requests.answered > 0 ? time(micros) : "–";
  }
}

function showRates(ledger, now) {
  if (before !== null) {
    const seconds = (now - before.now) / 1000;
    for (const cell of document.querySelectorAll("[data-rate]")) {
      const rate = (at(ledger, cell.dataset.rate) - at(before.ledger, cell.dataset.rate)) / seconds;
      cell.textContent = rate > 0 ? `${numbers.format(Math.round(rate))}/s` : "";
    }
  }
  before = { ledger, now };
}

function showBar(verdicts) {
  const counts = { match: verdicts.match, incomparable: sum(verdicts.incomparable), differ: verdicts.differ };
  const all = sum(counts);
  for (const [name, count] of Object.entries(counts)) {
    const part = all === 0 ? 0 : count / all;
    // A single difference among millions must be seen.
    const shown = count > 0 ? Math.max(part * 100, 0.5) : 0;
    element("bar").querySelector(`.${name}`).style.width = `${shown}%`;
  }
}

function row(what, count, why) {
  const line = document.createElement("tr");
  for (const text of [what, numbers.format(count), why]) {
    line.insertCell().textContent = text;
  }
  line.cells[1].className = "number";
  return line;
}

function showReasons(ledger) {
  const rows = [];
  for (const [path, title] of Object.entries(GROUPS)) {
    for (const [reason, count] of Object.entries(at(ledger, path) ?? {})) {
      if (ORDINARY[path]?.includes(reason)) continue;
      rows.push(row(title, count, sentences[path]?.[reason] ?? reason));
    }
  }
  if (rows.length === 0) {
    rows.push(row("nothing", 0, "Every frame, session and request went all the way."));
  }
  element("reasons").replaceChildren(...rows);
}

function showStatus(state, text) {
  const status = element("status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.state = state;
}

function slowness(backlog) {
  if (backlog.sessions_behind === 0) return "";
  const [sessions, requests] = [backlog.sessions_behind, backlog.requests_waiting].map((count) => numbers.format(count));
  return `Target slower than origin: ${sessions} sessions are behind production, ${requests} requests wait for the target.`;
}

function showHealth(health, backlog) {
  const texts = { ok: "Running", stuck: "Stuck", loop_alarm: "Replay stopped" };
  showStatus(health.status === "ok" ? "ok" : "bad", texts[health.status] ?? health.status);
  const notices = {
    stuck: "The box has not told its numbers for some seconds; look at its log.",
    loop_alarm: "The mirror shows the box's own frames, so replay has stopped. Take the target's port out of the mirror.",
  };
  const notice = element("notice");
  notice.textContent = notices[health.status] ?? slowness(backlog);
  notice.hidden = notice.textContent === "";
  element("version").textContent = `TapCopy ${health.version}`;
}

async function refresh() {
  try {
    if (Object.keys(sentences).length === 0) sentences = await ask("/api/v1/reasons");
    const [health, ledger] = await Promise.all([ask("/api/v1/health"), ask("/api/v1/ledger")]);
    showHealth(health, ledger.backlog);
    showCounts(ledger);
    showRates(ledger, performance.now());
    showBar(ledger.verdicts);
    showReasons(ledger);
  } catch {
    showStatus("bad", "The box does not answer");
    before = null;
  }
  setTimeout(refresh, PERIOD_MS);
}

refresh();
