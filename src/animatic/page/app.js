// What is shown at which path, and what is on every page: the tools, and the key.

import * as api from "./api.js";
import { composer } from "./composer.js";
import { button, fill, h, pictured } from "./dom.js";
import { gallery } from "./gallery.js";
import { jobView, missing } from "./job.js";
import { signInView } from "./signin.js";

const view = /** @type {HTMLElement} */ (document.getElementById("view"));
const tools = /** @type {HTMLElement} */ (document.getElementById("tools"));
/** @type {{ dark: () => boolean, toggle: () => void }} */
const theme = /** @type {any} */ (window).animaticTheme;
const TITLE = "Animatic";

/** What ends the present view. */
let leave = () => {};
/** Counts the views, so that what comes late is not shown. */
let turn = 0;

/** @param {string} href a page of ours */
function go(href) {
  history.pushState(null, "", href);
  show(true);
}

/** @param {boolean} [moved] whether somebody came here from another of our pages */
async function show(moved = false) {
  leave();
  leave = () => {};
  const now = ++turn;
  document.title = TITLE;
  if (moved) scrollTo(0, 0);
  const below = location.pathname.slice(api.root.pathname.length);
  const id = /^videos\/([^/]+)\/?$/.exec(below)?.[1];
  if (id) {
    const job = jobView(decodeURIComponent(id), go);
    leave = job.close;
    fill(view, job.element);
    if (moved) view.focus({ preventScroll: true });
  } else if (below === "" || below === "videos/") await home(now);
  else fill(view, h("div", { class: "view" }, missing()));
}

/** @param {number} now */
async function home(now) {
  try {
    const { data } = await api.models();
    if (now !== turn) return;
    const begin = composer(data, go);
    const made = gallery();
    leave = () => {
      begin.close();
      made.close();
    };
    fill(view, h("div", { class: "view" }, begin.element, made.element));
    begin.focus();
  } catch (error) {
    const refusal = /** @type {api.Refusal} */ (error);
    if (now !== turn || refusal.status === 401) return;
    fill(
      view,
      h(
        "div",
        { class: "view" },
        h("h1", { class: "title" }, "The studio does not answer"),
        h("p", { class: "lead" }, `${refusal.message} It is tried again in a moment.`),
        h(
          "div",
          { class: "row" },
          button("primary", () => show(), "Try now"),
        ),
      ),
    );
    const timer = setTimeout(() => now === turn && show(), 4000);
    leave = () => clearTimeout(timer);
  }
}

function lock() {
  leave();
  leave = () => {};
  turn += 1;
  document.title = TITLE;
  fill(
    view,
    signInView(() => {
      draw(true);
      show(true);
    }),
  );
  draw(false);
  document.getElementById("key")?.focus();
}

/** @param {boolean} signedIn whether there is something to sign out from */
function draw(signedIn) {
  const dark = theme.dark();
  const colours = pictured(dark ? "Light colours" : "Dark colours", dark ? "sun" : "moon", () => {
    theme.toggle();
    draw(signedIn);
    document.getElementById("theme")?.focus();
  });
  colours.id = "theme";
  const leaving = async () => {
    await api.signOut().catch(() => {});
    lock();
  };
  fill(tools, signedIn && button("quiet", leaving, "Sign out"), colours);
}

async function begin() {
  /** @type {HTMLAnchorElement} */ (document.getElementById("brand")).href = api.root.href;
  fill(
    /** @type {HTMLElement} */ (document.getElementById("links")),
    h("a", { href: api.at("/openapi.json") }, "HTTP API"),
  );
  draw(false);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", () =>
    draw(Boolean(tools.querySelector(".quiet"))),
  );
  api.whenLocked(lock);
  addEventListener("popstate", () => show());
  document.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest?.("a");
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.hasAttribute("download") || link.target) return;
    const below = link.href.startsWith(api.root.href) ? link.href.slice(api.root.href.length) : null;
    if (below === null || !(below === "" || /^videos\/[^/#?]+$/.test(below))) return;
    event.preventDefault();
    go(link.href);
  });
  const { keys, signed_in: signedIn } = await api.session().catch(() => ({ keys: false, signed_in: false }));
  if (keys && !signedIn) {
    lock();
    return;
  }
  draw(keys && signedIn);
  await show();
}

begin();
