// One video at its permalink, from the queue to the film.

import * as api from "./api.js";
import { button, fill, h, icon, pair, write } from "./dom.js";
import { Paragraph } from "./paragraph.js";
import { recordSection } from "./record.js";
import { anew, remixForm } from "./remix.js";
import { Screen } from "./screen.js";
import { Stages } from "./stages.js";
import { Stills } from "./stills.js";
import { ago, cancelled, failure, over } from "./words.js";

/** @typedef {import("./api.js").Video} Video */

/**
 * @param {string} id
 * @param {(href: string) => void} go
 * @returns {{ element: HTMLElement, close: () => void }}
 */
export function jobView(id, go) {
  /** @type {Video | null} */
  let video = null;
  let drawn = "";

  const title = h("h1", { dir: "auto", class: "title" }, "…");
  const lost = h(
    "p",
    { class: "lost", role: "status", hidden: true },
    h("i", {}),
    "Connection lost, trying again. Nothing of the work is lost.",
  );
  const layout = h("div", { class: "job", "aria-busy": "true" });
  const screen = new Screen(layout);
  const stills = new Stills(id, (number) => video && screen.update(video, number), update);
  const paragraph = new Paragraph(id, update);
  const cancel = button("quiet", () => act(cancel, () => api.cancel(id)), icon("close"), "Cancel");
  const stages = new Stages(cancel);
  const outcome = h("div", { class: "outcome" });
  const facts = h("dl", { class: "facts" });
  const remarks = h("ul", { class: "remarks", "aria-label": "Remarks" });
  const notices = h("ul", { class: "notices", "aria-label": "Notices" });
  const error = h("p", { class: "error-line", role: "alert" });
  const provenance = h("div", {});
  fill(
    layout,
    h("div", { class: "seen" }, stages.element, screen.element, error, outcome, stills.element),
    h("div", { class: "told" }, paragraph.element, remarks, facts, notices),
  );
  const element = h(
    "article",
    { class: "view" },
    h("a", { class: "quiet up", href: api.root.href }, icon("back"), "New video"),
    title,
    lost,
    layout,
    provenance,
  );

  /** @param {Video} now */
  function update(now) {
    video = now;
    layout.removeAttribute("aria-busy");
    write(title, now.prompt);
    document.title = `${over(now) ? "" : now.waiting_for ? "● " : `${now.progress ?? 0} % · `}${now.prompt} – Animatic`;
    stages.update(now);
    stills.update(now);
    screen.update(now, now.waiting_for === "still" ? stills.now : 0);
    paragraph.update(now);
    stages.element.hidden = over(now);
    layout.classList.toggle("bare", now.status === "failed" && !now.stills.length && !now.preview);
    fill(
      remarks,
      (now.remarks ?? []).map((text) => h("li", {}, text)),
    );
    fill(
      notices,
      [...new Set(now.notices ?? [])].map((text) => h("li", {}, text)),
    );
    fill(facts, told(now));
    const key = `${now.status} ${now.error?.code}`;
    if (key === drawn) return;
    drawn = key;
    fill(outcome, ...(over(now) ? ending(now) : []));
    fill(provenance, now.status === "completed" && recordSection(id));
  }

  /** @param {Video} now */
  function ending(now) {
    const form = remixForm(now, go);
    const unfold = () => {
      form.hidden = !form.hidden;
      remix.setAttribute("aria-expanded", String(!form.hidden));
      if (!form.hidden) form.querySelector("textarea")?.focus();
    };
    const remix = button("quiet", unfold, icon("remix"), "Remix");
    remix.setAttribute("aria-expanded", "false");
    const remove = button(
      "quiet",
      () => {
        confirmed.showModal();
        keep.focus();
      },
      icon("bin"),
      "Delete",
    );
    const keep = h("button", { class: "quiet" }, "Keep it");
    const confirmed = h(
      "dialog",
      { "aria-labelledby": "delete-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "delete-title" }, "Delete this video?"),
        h("p", {}, "Its film, its still and its record are removed from this server."),
        h(
          "div",
          { class: "row" },
          button(
            "primary",
            () => {
              confirmed.close();
              act(
                remove,
                () => api.remove(id),
                () => go(api.root.href),
              );
            },
            "Delete it",
          ),
          keep,
        ),
      ),
    );
    const again = (
      /** @type {string} */ name,
      /** @type {api.Fields} */ fields,
      /** @type {Node} */ picture,
      kind = "quiet",
    ) => {
      const made = (/** @type {Video} */ another) => go(api.permalink(another.id));
      const wish = button(kind, () => act(wish, () => api.remix(id, fields), made), picture, name);
      return wish;
    };
    if (now.status === "failed") {
      return [
        h(
          "div",
          { class: `failure${cancelled(now) ? " calm" : ""}` },
          h("h2", {}, failure(now)),
          !cancelled(now) && h("p", { dir: "auto" }, now.error?.message || "No reason is given."),
        ),
        h("div", { class: "row" }, again("Try again", { prompt: now.prompt }, icon("again"), "primary"), remix, remove),
        form,
        confirmed,
      ];
    }
    const name =
      now.prompt
        .toLowerCase()
        .replace(/[^\p{L}\p{N}]+/gu, "-")
        .slice(0, 60)
        .replace(/^-+|-+$/g, "") || now.id;
    const file = (/** @type {any} */ variant, /** @type {string} */ ending) => ({
      href: api.content(now.id, variant),
      download: `${name}.${ending}`,
    });
    return [
      h(
        "div",
        { class: "row" },
        h("a", { class: "primary", ...file("video", "mp4") }, icon("download"), "Download"),
        remix,
        again("Another take", anew(now, now.prompt, now.seed + 1), icon("dice")),
        h("a", { class: "quiet", ...file("still", "png") }, icon("picture"), "Still"),
        h("a", { class: "quiet", ...file("card", "png") }, icon("picture"), "Card"),
        remove,
      ),
      form,
      confirmed,
    ];
  }

  /**
   * @param {HTMLButtonElement} pressed
   * @param {() => Promise<any>} wish
   * @param {(answer: any) => void} [then]
   */
  async function act(pressed, wish, then) {
    pressed.disabled = true;
    write(error, "");
    try {
      const answer = await wish();
      if (then) then(answer);
      else if (answer?.object === "video") update(answer);
    } catch (refusal) {
      write(error, /** @type {Error} */ (refusal).message);
    } finally {
      pressed.disabled = false;
    }
  }

  const stop = api.follow(id, {
    video: update,
    lost: (is) => {
      lost.hidden = !is;
      if (is) stages.halt();
    },
    gone: (refusal) => {
      if (refusal.status === 404) fill(element, ...missing());
    },
  });
  return {
    element,
    close: () => {
      stop();
      stages.close();
      stills.close();
      screen.close();
    },
  };
}

/** What is said where there is no such video. */
export function missing() {
  return [
    h("h1", { class: "title" }, "There is no such video"),
    h("p", { class: "lead" }, "It was deleted, or it belongs to another key."),
    h("div", { class: "row" }, h("a", { class: "primary", href: api.root.href }, "Make a new one")),
  ];
}

/** @param {Video} video */
function told(video) {
  const pairs = [
    ["model", video.model],
    ["seed", video.seed],
    ["size", String(video.size).replace("x", " × ")],
    ["length", video.seconds && `${Number(Number(video.seconds).toFixed(2))} s`],
    ["asked for", ago(video.created_at)],
    [
      "kept until",
      video.expires_at &&
        new Date(1000 * video.expires_at).toLocaleDateString("en", { day: "numeric", month: "short" }),
    ],
  ];
  const items = pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => pair(name, value));
  if (video.remixed_from_video_id) {
    const earlier = h("a", { href: api.permalink(video.remixed_from_video_id) }, "an earlier video");
    items.push(pair("remix of", earlier));
  }
  return items;
}
