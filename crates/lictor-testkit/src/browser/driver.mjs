// Drives a real Chromium for a test: one order a line comes in as JSON, one answer a line goes out. It ends, and the
// Chromium with it, when there are no more orders.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const [modules, program] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const { chromium } = require(`${modules}/playwright-core`);
const axe = readFileSync(`${modules}/axe-core/axe.min.js`, "utf8");

const WIDTHS = [360, 768, 1280];
const THEMES = ["light", "dark"];
const HEIGHT = 900;
const STEP = 15_000; // ms that a single thing a person does may take
const LOOK = 50; // ms between two looks at a page
const RELOAD = 400; // ms between two reloads of a page without scripts

const browser = await chromium.launch({
  executablePath: program,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const windows = new Map();

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const plain = (text) => text.replace(/\s+/g, " ").trim();

// What a person reads there. What is closed is not in it; a page that is being left has nothing.
async function text(page) {
  try {
    return await page.innerText("body", { timeout: 2_000 });
  } catch {
    return "";
  }
}

// How many of the parts are there, one after the other.
function found(where, parts) {
  let from = 0;
  for (const [count, part] of parts.entries()) {
    const at = where.indexOf(part, from);
    if (at < 0) return count;
    from = at + part.length;
  }
  return parts.length;
}

function watched(page, window) {
  page.setDefaultTimeout(STEP);
  page.on("load", () => (window.loads += 1));
  page.on("pageerror", (error) => window.faults.push(`a script failed: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const refused = /the server responded with a status of (\d+)/.exec(message.text());
    if (refused && window.allowed.has(Number(refused[1]))) return;
    window.faults.push(`the console says: ${message.text()} (${message.location().url})`);
  });
  page.on("requestfailed", (request) => {
    // Whoever leaves a page lets go of what it was loading.
    const why = request.failure()?.errorText ?? "";
    if (why !== "net::ERR_ABORTED") window.faults.push(`${request.method()} ${request.url()}: ${why}`);
  });
}

// Where who has no mouse is: what that says, and whether it is marked.
const place = (page) =>
  page.evaluate(() => {
    const one = document.activeElement;
    const ring = getComputedStyle(one);
    const words = (one.getAttribute("aria-label") ?? one.textContent).replace(/\s+/g, " ").trim();
    return { words, ring: ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) > 0 };
  });

const target = (page, { role, name, within }) => {
  const whole = within ? page.locator(within) : page;
  return whole.getByRole(role, { name, exact: true });
};

const orders = {
  async open({ window: id, width, dark, script, person, token, allowed }) {
    const context = await browser.newContext({
      viewport: { width, height: HEIGHT },
      colorScheme: dark ? "dark" : "light",
      javaScriptEnabled: script,
      reducedMotion: "reduce",
      httpCredentials: token ? { username: person, password: token } : undefined,
    });
    const page = await context.newPage();
    const window = { page, script, dark, loads: 0, faults: [], allowed: new Set(allowed) };
    watched(page, window);
    windows.set(id, window);
  },

  async go({ page, url }) {
    const answer = await page.goto(url);
    return { status: answer.status() };
  },

  async text({ page }) {
    return { text: await text(page), url: page.url() };
  },

  // Looks until the parts are there in this order, or none of them is where they should be gone.
  async see({ page, window, parts, gone, within }) {
    const wanted = parts.map((part) => plain(part).toLowerCase());
    const until = Date.now() + within;
    let reloaded = Date.now();
    for (;;) {
      const now = await text(page);
      const there = plain(now).toLowerCase();
      const count = gone ? wanted.filter((part) => there.includes(part)).length : found(there, wanted);
      // An empty page says nothing, not even that something is gone.
      if (there !== "" && count === (gone ? 0 : wanted.length)) return { seen: true, text: now, url: page.url() };
      if (Date.now() > until) return { seen: false, count, text: now, url: page.url() };
      if (!window.script && Date.now() - reloaded > RELOAD) {
        await page.reload();
        reloaded = Date.now();
      } else {
        await pause(LOOK);
      }
    }
  },

  async press({ page, ...which }) {
    const one = target(page, which);
    // What is renewed under the pointer is found again.
    await one.click();
    await page.waitForLoadState("load");
    return { url: page.url() };
  },

  async unfold({ page, name, within }) {
    await page.locator(`${within ?? ""} summary`).filter({ hasText: name }).first().click();
  },

  async fill({ page, label, value }) {
    await page.getByLabel(label, { exact: true }).fill(value);
  },

  // Presses Tab until it is there, as who has no mouse does.
  async reach({ page, name, most }) {
    for (let count = 0; count < most; count += 1) {
      await page.keyboard.press("Tab");
      const at = await place(page);
      if (at.words === name) return { reached: true, ring: at.ring };
    }
    return { reached: false };
  },

  async at({ page }) {
    return await place(page);
  },

  async key({ page, key }) {
    await page.keyboard.press(key);
    await pause(LOOK);
    await page.waitForLoadState("load");
  },

  async count({ page, selector }) {
    return { count: await page.locator(selector).count() };
  },

  async loads({ window }) {
    return { loads: window.loads };
  },

  async fetch({ page, path }) {
    // As the browser would, with the token that a person has given.
    const answer = await page.context().request.get(new URL(path, page.url()).href);
    return { status: answer.status(), text: await answer.text() };
  },

  async shot({ page, file }) {
    await page.screenshot({ path: file, fullPage: true, animations: "disabled" });
  },

  // Looks at the page in both themes at three widths: what is wrong with it, and a picture of each.
  async audit({ page, window, folder, name }) {
    const wrong = [];
    const size = page.viewportSize();
    for (const colorScheme of THEMES) {
      await page.emulateMedia({ colorScheme });
      for (const width of WIDTHS) {
        const where = `${width} px, ${colorScheme}`;
        await page.setViewportSize({ width, height: HEIGHT });
        const wide = await page.evaluate(() => {
          const room = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= room) return null;
          const outside = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > room + 1);
          return outside.slice(0, 5).map((one) => one.outerHTML.slice(0, 160));
        });
        if (wide) wrong.push(`${where}: it is wider than the window: ${wide.join(" | ")}`);
        await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage: true, animations: "disabled" });
        // Without scripts axe cannot run; the markup is the same.
        if (!window.script) continue;
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        for (const one of violations.filter(({ impact }) => impact === "serious" || impact === "critical")) {
          const which = one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} (${node.failureSummary})`);
          wrong.push(`${where}: ${one.id}: ${one.help}: ${which.join(" | ")}`);
        }
      }
    }
    await page.emulateMedia({ colorScheme: window.dark ? "dark" : "light" });
    await page.setViewportSize(size);
    return { wrong };
  },

  async faults({ window }) {
    return { faults: window.faults.splice(0) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...rest } = JSON.parse(line);
  const window = windows.get(rest.window);
  let answer;
  try {
    const from = order === "open" ? rest : { ...rest, window, page: window.page };
    answer = (await orders[order](from)) ?? {};
  } catch (error) {
    answer = { failed: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
