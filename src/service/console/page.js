"use strict";
// Everything shown is put in as text: paths, names and reasons are other people's words.
const EVERY = 2000;
const WINDOW = 30;
const at = (id) => document.getElementById(id);
const put = (id, text) => { at(id).textContent = text; };

function make(tag, name, ...parts) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...parts.filter((part) => part !== null && part !== undefined && part !== ""));
  return element;
}

function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [size, unit] = units[first];
  const rest = units[first + 1] ? Math.floor((seconds % size) / units[first + 1][0]) : 0;
  return `${Math.floor(seconds / size)} ${unit}` + (rest ? ` ${rest} ${units[first + 1][1]}` : "");
}

function time(seconds) {
  if (!Number.isFinite(seconds)) return "over 5 s";
  return seconds < 0.001 ? `${Math.round(seconds * 1e6)} µs` : seconds < 1 ? `${+(seconds * 1e3).toFixed(1)} ms` : `${+seconds.toFixed(1)} s`;
}

const colours = { allow: "good", deny: "bad", unavailable: "warn", fresh: "good", stale: "warn", blind: "bad", closed: "good", probing: "warn", open: "bad" };
const pill = (text) => make("span", `pill ${colours[text] || "plain"}`, text);
const marks = { passed: "✓", failed: "✗", unknown: "?", skipped: "·" };
const spoken = { passed: "passed", failed: "failed", unknown: "cannot be told", skipped: "not asked" };

// --- a tree -----------------------------------------------------------------

function tree(steps) {
  const list = make("ul", "tree");
  for (const step of steps) list.append(branch(step));
  return list;
}

function branch(step) {
  const mark = make("span", `mark ${step.mark}`, marks[step.mark] || "·");
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", spoken[step.mark] || "");
  const line = make("span", "step", mark, make("b", "", step.name), ...(step.text ? plain(`: ${step.text}`) : []));
  const item = make("li", step.mark, line);
  if (step.expected || step.seen) {
    const pair = make("dl", "pair");
    if (step.expected) pair.append(make("dt", "", "expected"), make("dd", "", ...plain(step.expected)));
    if (step.seen) pair.append(make("dt", "", "seen"), make("dd", "", ...plain(step.seen)));
    item.append(pair);
  }
  const parts = step.steps || [];
  if (parts.length && step.mark === "passed") {
    const more = make("details", "", make("summary", "", `${parts.length} ${parts.length === 1 ? "detail" : "details"}`), tree(parts));
    item.append(more);
  } else if (parts.length) {
    item.append(tree(parts));
  }
  return item;
}

/** The step that refused, with those around it. */
function culprit(steps, above = []) {
  for (const step of steps) {
    if (step.mark !== "failed" && step.mark !== "unknown") continue;
    const way = [...above, step.name];
    const within = culprit(step.steps || [], way);
    if (within) return within;
    const said = [step.text, step.expected && `expected ${step.expected}`, step.seen && `seen ${step.seen}`].filter(Boolean).join("; ");
    return make("p", `notice ${step.mark === "failed" ? "bad" : "warn"}`, make("b", "", way.join(" › ")), ...plain(said));
  }
  return null;
}

let reasons = new Map();

function advice(code) {
  const known = reasons.get(code);
  if (!known) return null;
  const line = (label, text) => make("p", "", make("b", "", `${label}: `), ...plain(text));
  return make("div", "advice", line("Means", known.means), line("Usual cause", known.cause), line("Fix", known.fix));
}

// The little Markdown of the reasons: `code`.
function plain(text) {
  return text.split("`").map((part, place) => (place % 2 ? make("code", "", part) : part));
}

// --- recent decisions -------------------------------------------------------

let shownTop = -1;

function entry(one) {
  const request = one.request;
  const target = request ? `${request.method} ${request.host}${request.path}` : "a request that cannot be read";
  const when = make("time", "", one.time.slice(11, 19));
  when.dateTime = one.time;
  const head = make("summary", "", when, pill(one.verdict), make("span", "target mono", target), make("span", "reason", one.reason), make("span", "rule", ...plain(one.rule ? `rule ${one.rule}` : "no rule")));
  head.querySelector(".target").title = target;
  const details = make("details", "decision", head);
  details.dataset.number = one.number;
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    const facts = [one.time, one.door, one.rule && `rule ${one.rule}`, one.issuer && `issuer ${one.issuer}`, one.subject && `subject ${one.subject}`, request && request.client && `client ${request.client}`, one.request_id && `request id ${one.request_id}`, one.trace_id && `trace ${one.trace_id}`, `${one.took_us} µs`];
    details.append(make("div", "body", make("p", "facts-line", ...plain(facts.filter(Boolean).join(" · "))), culprit(one.steps), advice(one.reason), tree(one.steps)));
  });
  return details;
}

function query() {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(at("filters"))) if (value.trim()) wanted.set(name, value.trim());
  return wanted;
}

async function decisions(force) {
  const wanted = query();
  const answer = await (await fetch(`/decisions?${wanted}`)).json();
  const found = answer.decisions || [];
  const top = found.length ? found[0].number : -1;
  // Whoever reads is not moved: new ones wait until they are asked for.
  const isRead = at("list").querySelector("details[open]") || at("list").contains(document.activeElement);
  if (!force && isRead) {
    at("fresh").hidden = top === shownTop;
    return;
  }
  at("fresh").hidden = true;
  if (!force && top === shownTop) return;
  shownTop = top;
  put("count", found.length ? `the newest ${found.length}${[...wanted].length ? " that fit" : ""}` : "");
  if (found.length) at("list").replaceChildren(...found.map(entry));
  else at("list").replaceChildren(make("p", "empty", [...wanted].length ? "No recent decision fits." : "No decision yet: ask a gateway, or explain a request below."));
}

// --- a question -------------------------------------------------------------

function question() {
  const said = Object.fromEntries(new FormData(at("ask")));
  if (said.curl.trim()) return { curl: said.curl.trim() };
  const headers = said.headers.split("\n").filter((line) => line.trim()).map((line) => {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`not a header: ${line}`);
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  const asked = { method: said.method.trim(), host: said.host.trim() || "localhost", path: said.path.trim(), headers };
  if (said.token.trim()) asked.token = said.token.trim().replace(/^bearer\s+/i, "");
  return asked;
}

async function ask(event) {
  event.preventDefault();
  try {
    const answer = await fetch("/explain", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(question()) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    const head = make("div", "verdict", pill(told.verdict), make("code", "", told.reason), make("span", "", ...plain(told.rule ? `rule ${told.rule}` : "no rule")), told.issuer ? make("span", "", `issuer ${told.issuer}`) : null);
    at("answer").replaceChildren(head, ...[culprit(told.steps), advice(told.reason)].filter(Boolean), tree(told.steps));
  } catch (error) {
    at("answer").replaceChildren(make("p", "notice bad", ...plain(String(error.message))));
  }
}

// --- state ------------------------------------------------------------------

const samples = [];

function row(name, mark, ...lines) {
  return make("div", "row", make("div", "name", name), make("div", "", mark), make("div", "what", ...lines.filter(Boolean).map((line) => make("div", "", line))));
}

function issuer(one) {
  const kids = one.kids.length ? `keys: ${one.kids.join(", ")}` : "no keys";
  const age = one.age_seconds === undefined || one.age_seconds === null ? "never confirmed" : `confirmed ${lasting(one.age_seconds)} ago`;
  const next = one.next_refresh_seconds === undefined || one.next_refresh_seconds === null ? null : `next refresh in ${lasting(one.next_refresh_seconds)}`;
  const asked = one.introspection;
  return row(one.issuer, pill(one.state), kids, [age, next, `${one.refreshes_ok} good and ${one.refreshes_failed} failed refreshes`, one.optional && "optional"].filter(Boolean).join(" · "),
    one.last_error && `last error: ${one.last_error}`,
    one.skipped.length && `keys not used: ${one.skipped.join("; ")}`,
    asked && `introspection (${asked.protocol}): circuit ${asked.circuit}, ${asked.answers_active} active, ${asked.answers_inactive} inactive, ${asked.calls_failed} failed, ${asked.served_from_cache} served from cache, ${asked.in_flight} in flight${asked.last_error ? `, last error: ${asked.last_error}` : ""}`);
}

function quantile(bounds, counts, share) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (let place = 0; place < counts.length; place += 1) {
    seen += counts[place];
    if (all && seen >= share * all) return place < bounds.length ? bounds[place] : Infinity;
  }
  return null;
}

function spark(rates) {
  const svg = at("spark");
  const most = Math.max(1, ...rates.map((rate) => rate.allow + rate.deny + rate.unavailable));
  const bars = [];
  rates.forEach((rate, place) => {
    let y = 26;
    const bar = (name, height) => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, value] of Object.entries({ x: place * (120 / WINDOW), y: y - height, width: 120 / WINDOW - 1, height, class: `bar-${name}` })) rect.setAttribute(key, value);
      bars.push(rect);
      y -= height;
    };
    bar("none", 1);
    for (const name of ["allow", "deny", "unavailable"]) bar(name, (rate[name] / most) * 25);
  });
  svg.replaceChildren(...bars);
}

const per = (count) => (count >= 10 || count === 0 ? Math.round(count) : +count.toFixed(1)).toLocaleString("en");

function numbers(status) {
  samples.push({ at: performance.now(), ...status });
  if (samples.length > WINDOW + 1) samples.shift();
  const rates = samples.slice(1).map((sample, place) => {
    const before = samples[place];
    const seconds = (sample.at - before.at) / 1000;
    const rate = (name) => Math.max(0, sample.decisions[name] - before.decisions[name]) / seconds;
    return { allow: rate("allow"), deny: rate("deny"), unavailable: rate("unavailable") };
  });
  const last = rates.at(-1) || { allow: 0, deny: 0, unavailable: 0 };
  put("rate", per(last.allow + last.deny + last.unavailable));
  put("rate-parts", `${per(last.allow)} allowed · ${per(last.deny)} denied · ${per(last.unavailable)} unavailable`);
  const none = { allow: 0, deny: 0, unavailable: 0 };
  spark([...Array(WINDOW - rates.length).fill(none), ...rates]);
  const first = samples[0];
  const span = (performance.now() - first.at) / 1000;
  const { bounds_seconds: bounds, counts } = status.latency;
  let inWindow = counts.map((count, place) => count - first.latency.counts[place]);
  const isEmpty = !inWindow.some((count) => count > 0);
  if (isEmpty) inWindow = counts;
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => quantile(bounds, inWindow, share));
  put("p50", p50 === null ? "–" : `≤ ${time(p50)}`);
  put("p99", p50 === null ? "no decision yet" : `p50; p90 ≤ ${time(p90)}, p99 ≤ ${time(p99)}`);
  put("window", p50 === null ? "" : isEmpty ? "since the start" : `in the last ${lasting(Math.max(1, Math.round(span)))}`);
  const cache = status.token_cache;
  const looked = cache.hits + cache.misses;
  put("hits", looked ? `${Math.round((100 * cache.hits) / looked)} %` : "–");
  put("hits-parts", looked ? `${cache.hits.toLocaleString("en")} of ${looked.toLocaleString("en")} tokens were verified before` : "no token yet");
  const { allow, deny, unavailable } = status.decisions;
  put("total", (allow + deny + unavailable).toLocaleString("en"));
  put("total-parts", `${allow.toLocaleString("en")} allowed · ${deny.toLocaleString("en")} denied · ${unavailable.toLocaleString("en")} unavailable`);
  put("revoked", `${status.revocations.entries.toLocaleString("en")} revocations in force`);
}

function words(value) {
  if (value === null || value === undefined || typeof value !== "object") return String(value);
  return Object.entries(value).map(([name, inner]) => `${name} ${words(inner)}`).join(" · ");
}

let drawn = "";

function state(status) {
  const pillOf = status.draining ? ["shutting down", "warn"] : status.ready ? ["ready", "good"] : ["not ready", "bad"];
  at("ready").className = `pill ${pillOf[1]}`;
  put("ready", pillOf[0]);
  const config = status.config;
  put("facts", `${status.version} · up ${lasting(status.uptime_seconds)} · configuration ${config.version}${config.sha256 ? ` (${config.sha256.slice(0, 8)})` : ""}`);
  const notices = [];
  // Messages about the file have lines under lines.
  const notice = (name, title, text) => notices.push(make("div", `notice ${name}`, make("b", "", title), make("pre", "", text)));
  if (config.last_error) notice("bad", `The configuration file is not in force since ${config.last_error.since.slice(0, 19)}Z; the one before is.`, config.last_error.message);
  if (config.needs_restart.length) notice("warn", "Changed in the file, in force after a restart:", config.needs_restart.join(", "));
  for (const warning of config.warnings) notice("warn", "Legal, and dangerous:", warning);
  if (status.dropped_log_lines) notice("warn", "The log's reader does not keep up:", `${status.dropped_log_lines} lines were dropped`);
  const text = notices.map((one) => one.textContent).join("\n");
  if (text !== drawn) at("notices").replaceChildren(...notices);
  drawn = text;
  at("issuers").replaceChildren(...(status.issuers.length ? status.issuers.map(issuer) : [make("p", "empty", "No issuer is configured: no token is believed.")]));
  const failed = config.reloads.failed;
  at("config").replaceChildren(
    row("Configuration", pill(`version ${config.version}`), config.file && `file ${config.file}`, `${config.rules} rules · in force since ${config.applied_at.slice(0, 19)}Z`, config.sha256 && `SHA-256 ${config.sha256}`, failed ? `reloads: ${words(config.reloads)}` : null),
    row("Listeners", null, ...Object.entries(status.listeners).map(([name, address]) => `${name} at ${address}`)),
    row("Revocations", null, words(status.revocations)),
  );
}

async function look() {
  try {
    const status = await (await fetch("/status")).json();
    numbers(status);
    state(status);
    await decisions(false);
  } catch (error) {
    at("ready").className = "pill bad";
    put("ready", "does not answer");
  }
}

async function start() {
  try {
    const known = await (await fetch("/reasons")).json();
    reasons = new Map(known.map((one) => [one.code, one]));
    at("filters").elements.reason.append(...known.map((one) => make("option", "", one.code)));
  } catch (error) { /* the decisions are shown without advice */ }
  at("filters").addEventListener("submit", (event) => { event.preventDefault(); decisions(true); });
  at("filters").addEventListener("change", () => decisions(true));
  at("filters").addEventListener("reset", () => setTimeout(() => decisions(true)));
  at("fresh").addEventListener("click", () => decisions(true));
  at("ask").addEventListener("submit", ask);
  at("ask").addEventListener("reset", () => at("answer").replaceChildren());
  let paused = false;
  at("pause").addEventListener("click", () => {
    paused = !paused;
    at("pause").setAttribute("aria-pressed", String(paused));
    put("pause", paused ? "Go on" : "Pause");
  });
  await look();
  setInterval(() => { if (!paused && !document.hidden) look(); }, EVERY);
}

start();
