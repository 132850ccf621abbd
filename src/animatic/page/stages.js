// How far a job is: four stages, what is being done, and how long it still takes.

import { fill, h, icon, say, write } from "./dom.js";
import { STAGES, STAGE_NAMES, doing, over, reached, roughly, step } from "./words.js";

/** @typedef {import("./api.js").Video} Video */

export class Stages {
  /** @param {HTMLElement} aside goes beside what is being done */
  constructor(aside) {
    this.what = h("strong", {});
    this.detail = h("span", { class: "detail" });
    this.left = h("span", { class: "left" });
    this.bars = STAGES.map((name) => {
      const bar = h("i", {});
      const mark = h("b", {});
      return {
        bar,
        mark,
        item: h("li", {}, h("span", { class: "track" }, bar), h("span", { class: "name" }, mark, STAGE_NAMES[name])),
      };
    });
    this.track = h(
      "div",
      { class: "stages", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 },
      h(
        "ol",
        { "aria-hidden": "true" },
        this.bars.map((one) => one.item),
      ),
    );
    this.element = h(
      "section",
      { class: "progress", "aria-label": "Progress" },
      h("div", { class: "doing" }, h("p", {}, this.what, " ", this.detail), this.left, aside),
      this.track,
    );
    this.told = "";
    /** When it is expected to be done, in milliseconds; 0: not known. */
    this.end = 0;
    this.timer = setInterval(() => this.count(), 1000);
  }

  close() {
    clearInterval(this.timer);
  }

  /** @param {Video} video */
  update(video) {
    const at = reached(video);
    const failed = video.status === "failed";
    this.element.classList.toggle("waits", Boolean(video.waiting_for));
    this.element.classList.toggle("failed", failed);
    this.bars.forEach(({ bar, mark, item }, n) => {
      const state =
        n < at
          ? "done"
          : n > at || video.status === "queued"
            ? "todo"
            : failed
              ? "broken"
              : video.waiting_for
                ? "waits"
                : "now";
      const known = state === "now" && Boolean(video.steps);
      item.className = `${state}${state === "now" && !known ? " unknown" : ""}`;
      bar.style.width = n < at ? "100%" : known ? `${(100 * (video.step ?? 0)) / (video.steps || 1)}%` : "";
      fill(mark, state === "done" && icon("check"));
    });
    write(this.what, doing(video));
    write(this.detail, step(video));
    const known =
      video.remaining_seconds !== null && video.remaining_seconds !== undefined && !over(video) && !video.waiting_for;
    this.end = known ? Date.now() + 1000 * Number(video.remaining_seconds) : 0;
    this.count();
    this.track.setAttribute("aria-valuenow", String(video.progress ?? 0));
    this.track.setAttribute(
      "aria-valuetext",
      [`${video.progress ?? 0} percent`, doing(video), step(video)].filter(Boolean).join(", "),
    );
    const news = `${at} ${video.status} ${video.waiting_for}`;
    if (this.told && news !== this.told) say(doing(video));
    this.told = news;
  }

  /** Nothing is known for now. */
  halt() {
    this.end = 0;
    this.count();
  }

  /** Between two tellings the time goes on. */
  count() {
    write(this.left, this.end ? `about ${roughly(Math.max(0, this.end - Date.now()) / 1000)} left` : "");
  }
}
