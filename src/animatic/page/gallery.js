// The videos that were made here, the newest first; those that are being made move.

import * as api from "./api.js";
import { button, calm, h, write } from "./dom.js";
import { ago, doing, failure, over, sides } from "./words.js";

/** @typedef {import("./api.js").Video} Video */

const PAGE = 24;
/** Milliseconds between two looks: while something is being made, and else. */
const SOON = 2000;
const LATER = 20000;

/** @returns {{ element: HTMLElement, close: () => void }} */
export function gallery() {
  /** @type {Map<string, ReturnType<typeof card>>} */
  const cards = new Map();
  let last = "";
  let timer = 0;
  let closed = false;
  const grid = h("ul", { class: "grid" });
  const more = button("quiet", load, "Show more");
  more.hidden = true;
  const state = h("p", { class: "hint", role: "status" }, "");
  const element = h(
    "section",
    { class: "gallery", "aria-labelledby": "gallery-title", hidden: true },
    h("h2", { id: "gallery-title" }, "Made here"),
    grid,
    state,
    more,
  );

  /** @param {Video} video @param {boolean} first whether it is new and goes to the top */
  function place(video, first) {
    const known = cards.get(video.id);
    if (known) {
      known.update(video);
      return;
    }
    const made = card(video);
    cards.set(video.id, made);
    if (first) grid.prepend(made.element);
    else grid.append(made.element);
    element.hidden = false;
  }

  async function load() {
    more.disabled = true;
    try {
      const page = await api.list({ limit: PAGE, after: last || undefined });
      if (closed) return;
      const focus = last && page.data.find((video) => !cards.has(video.id))?.id;
      page.data.forEach((video) => place(video, false));
      last = page.last_id ?? last;
      more.hidden = !page.has_more;
      if (focus) cards.get(focus)?.element.querySelector("a")?.focus();
      write(state, "");
    } catch (error) {
      element.hidden = false;
      more.hidden = false;
      write(state, /** @type {Error} */ (error).message);
    } finally {
      more.disabled = false;
      wait();
    }
  }

  async function look() {
    if (document.hidden) {
      wait();
      return;
    }
    try {
      const page = await api.list({ limit: Math.min(100, Math.max(PAGE, cards.size)) });
      if (closed) return;
      const there = new Set(page.data.map((video) => video.id));
      // One that is not listed any more was deleted elsewhere; of those beyond the page nothing is known.
      const oldest = page.has_more ? (page.data.at(-1)?.created_at ?? 0) : -1;
      for (const [id, one] of cards)
        if (!there.has(id) && one.video.created_at > oldest) {
          one.element.remove();
          cards.delete(id);
        }
      // Only what is newer than all that is known is new; what else is not known is for "Show more".
      const known = page.data.findIndex((video) => cards.has(video.id));
      const fresh = known < 0 ? page.data : page.data.slice(0, known);
      [...fresh].reverse().forEach((video) => place(video, true));
      page.data.forEach((video) => cards.get(video.id)?.update(video));
      write(state, "");
    } catch {
      if (!closed) write(state, "Connection lost, trying again.");
    }
    wait();
  }

  function wait() {
    clearTimeout(timer);
    if (closed) return;
    const live = [...cards.values()].some((one) => !over(one.video));
    timer = setTimeout(look, live || state.textContent ? SOON : LATER);
  }

  load();
  return {
    element,
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** @param {Video} first */
function card(first) {
  const [width, height] = sides(first.size);
  const still = h("img", { alt: "", hidden: true, loading: "lazy", decoding: "async", width, height });
  const shade = h("span", { class: "shade" });
  const bar = h("i", {});
  const track = h("span", { class: "track", "aria-hidden": "true" }, bar);
  const frame = h("span", { class: `frame${width < 256 ? " crisp" : ""}` }, still, shade, track);
  frame.style.aspectRatio = `${width} / ${height}`;
  const title = h("strong", { dir: "auto" });
  const line = h("span", { class: "line" });
  const link = h("a", { href: api.permalink(first.id) }, frame, title, line);
  const element = h("li", { class: "card" }, link);
  const self = { element, video: first, update };
  let key = "";
  let source = "";

  /** @param {Video} video */
  function update(video) {
    self.video = video;
    write(
      line,
      over(video)
        ? [video.model, `${Number(Number(video.seconds).toFixed(1))} s`, ago(video.created_at)].join(" · ")
        : live(video),
    );
    const now = JSON.stringify([video.status, video.progress, video.preview, video.stills.length, video.waiting_for]);
    if (now === key) return;
    key = now;
    write(title, video.prompt);
    element.className = `card ${video.status}${video.waiting_for ? " waits" : ""}`;
    write(shade, video.status === "failed" ? failure(video) : video.status === "queued" ? "Queued" : "");
    track.hidden = over(video);
    bar.style.width = `${video.progress ?? 0}%`;
    const path = pictureOf(video);
    if (path !== source) {
      source = path;
      still.hidden = !path;
      still.classList.toggle("sketch", sketched(video));
      if (path) still.src = path;
    }
  }

  /** @type {HTMLVideoElement | null} */
  let film = null;
  const play = () => {
    if (film || calm() || self.video.status !== "completed") return;
    const made = h("video", {
      loop: true,
      playsinline: true,
      tabindex: -1,
      "aria-hidden": "true",
      src: api.content(first.id, "video"),
    });
    film = made;
    made.muted = true;
    made.addEventListener("playing", () => made.classList.add("on"));
    frame.append(made);
    made.play().catch(() => {});
  };
  const halt = () => {
    film?.pause();
    film?.remove();
    film = null;
  };
  link.addEventListener("pointerenter", (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && play());
  link.addEventListener("pointerleave", halt);
  link.addEventListener("focus", () => link.matches(":focus-visible") && play());
  link.addEventListener("blur", halt);
  still.addEventListener("error", () => (still.hidden = true));
  update(first);
  return self;
}

/** Whether the picture of a step is all there is to see. @param {Video} video */
const sketched = (video) => !over(video) && Boolean(video.preview) && video.waiting_for !== "still";

/** @param {Video} video @returns {string} its URL; empty where there is nothing to be seen yet */
function pictureOf(video) {
  if (video.status === "completed") return api.content(video.id, "thumbnail");
  const path = sketched(video) ? video.preview : video.stills.at((video.picked ?? 0) - 1);
  return path ? api.at(path) : "";
}

/** @param {Video} video */
function live(video) {
  return `${doing(video)}${video.status === "in_progress" && !video.waiting_for ? ` · ${video.progress ?? 0} %` : ""}`;
}
