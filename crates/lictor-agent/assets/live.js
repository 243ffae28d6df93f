// Keeps the page up to date: when the agent records an event, the part between header
// and footer is fetched again. Without this file the page is the same, but stands still.
"use strict";
(() => {
  const live = document.getElementById("live");
  const link = document.getElementById("link");
  const icon = document.getElementById("icon");
  if (!live || !window.fetch || !window.EventSource) return;
  // What went wrong stays until it was read.
  if (!live.dataset.src) return;

  const LEAST = 700; // ms between two fetches, however much happens
  const OLD = 10_000; // ms after which the ages shown are renewed
  let last = 0;
  let timer = null;
  let fetching = false;
  let following = false;
  // What was folded or unfolded by hand stays so, whatever the agent would show.
  const folded = new Map();
  let shown = new Map();

  function say(state, words) {
    link.hidden = false;
    link.dataset.state = state;
    if (link.textContent !== words) link.textContent = words;
  }

  // Times of day are sent in UTC; show them in the reader's zone.
  function localize() {
    for (const time of live.querySelectorAll("time[data-clock]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const today = new Date().toDateString() === at.toDateString();
      const clock = at.toLocaleTimeString([], { hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });
      time.textContent = today ? clock : at.toLocaleDateString([], { month: "short", day: "numeric" }) + " " + clock;
    }
  }

  const parts = () => live.querySelectorAll("details[id]");

  function unfold() {
    for (const part of parts()) if (folded.has(part.id)) part.open = folded.get(part.id);
    shown = new Map([...parts()].map((part) => [part.id, part.open]));
  }

  function adopt() {
    const state = document.getElementById("state");
    if (!state) return;
    document.title = state.dataset.title;
    const wanted = state.dataset.tone === "bad" ? icon.dataset.bad : icon.dataset.good;
    if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
    localize();
  }

  // Someone is marking text, writing or pressing a button: not now.
  function occupied() {
    const marked = document.getSelection();
    const marking = marked && !marked.isCollapsed && live.contains(marked.anchorNode);
    return marking || live.querySelector("button:active, input:focus, textarea:focus") !== null;
  }

  // By what something is known that a person can reach, also after it was made anew.
  const reachable = () => [...live.querySelectorAll("a[href], button, input, textarea, summary")];
  const mark = (one) => one.id || [one.tagName, one.getAttribute("href"), one.value, one.textContent].join("\n");

  function replace(html) {
    const at = live.contains(document.activeElement) ? document.activeElement : null;
    const same = at ? reachable().filter((one) => mark(one) === mark(at)) : [];
    const place = same.indexOf(at);
    const scrolled = [...live.querySelectorAll("pre")].map((pre) => pre.scrollLeft);
    for (const part of parts()) if (shown.has(part.id) && part.open !== shown.get(part.id)) folded.set(part.id, part.open);
    const written = [...live.querySelectorAll("input[id], textarea[id]")].map((field) => [field.id, field.value]);
    live.innerHTML = html;
    unfold();
    for (const [id, value] of written) { const field = document.getElementById(id); if (field) field.value = value; }
    live.querySelectorAll("pre").forEach((pre, index) => { pre.scrollLeft = scrolled[index] || 0; });
    if (place >= 0) {
      // Of several that are alike the one in the same place; never another one, which a key would then press.
      const again = reachable().filter((one) => mark(one) === mark(same[place]));
      if (again.length === same.length) again[place].focus({ preventScroll: true });
    }
    adopt();
  }

  async function refresh() {
    timer = null;
    if (fetching || occupied()) return soon(LEAST);
    fetching = true;
    try {
      const limit = AbortSignal.timeout ? AbortSignal.timeout(10_000) : undefined;
      const answer = await fetch(live.dataset.src, { signal: limit, cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      // Another version of the agent answers: take its page too.
      const assets = answer.headers.get("x-lictor-assets");
      if (assets && assets !== live.dataset.assets) return location.reload();
      const html = await answer.text();
      if (occupied()) return soon(LEAST);
      replace(html);
      last = Date.now();
      if (following) say("live", "live");
    } catch (error) {
      say("lost", "not reachable, shown as of " + new Date(last || performance.timeOrigin).toLocaleTimeString());
    } finally {
      fetching = false;
    }
  }

  function soon(wait) {
    if (timer === null) timer = setTimeout(refresh, Math.max(wait, last + LEAST - Date.now()));
  }

  // A browser comes back by itself after a broken connection, but not after an answer
  // it does not like (too many clients follow): then this does, and polls meanwhile.
  function follow() {
    const events = new EventSource("/v1/events/stream");
    events.onopen = () => { following = true; say("live", "live"); soon(0); };
    events.onmessage = () => soon(120);
    events.onerror = () => {
      following = false;
      const ended = events.readyState === EventSource.CLOSED;
      say(ended ? "slow" : "lost", ended ? "every 10 s" : "reconnecting");
      if (ended) setTimeout(follow, 30_000);
    };
  }

  setInterval(() => {
    if (document.visibilityState === "visible" && Date.now() - last > OLD) soon(0);
  }, 2_000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") soon(0);
  });
  last = Date.now();
  unfold();
  adopt();
  follow();
})();
