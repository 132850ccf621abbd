// The drawn stills of a job, and the choice among them: by mouse, by arrows, by numbers.

import * as api from "./api.js";
import { calm, fill, h, idle, write } from "./dom.js";
import { sides } from "./words.js";

/** @typedef {import("./api.js").Video} Video */

export class Stills {
  /**
   * @param {string} id
   * @param {(still: number) => void} looked called with the still that is looked at
   * @param {(video: Video) => void} changed
   */
  constructor(id, looked, changed) {
    this.id = id;
    this.looked = looked;
    this.changed = changed;
    this.now = 0;
    this.key = "";
    this.waiting = false;
    this.title = h("h2", { id: "stills-title" }, "Stills");
    this.choices = h("div", { class: "stills", role: "radiogroup", "aria-labelledby": "stills-title" });
    this.error = h("p", { class: "error-line", role: "alert" });
    this.take = h("button", { type: "submit", class: "primary" });
    this.hint = h("span", { class: "hint keys" }, "Arrows or numbers choose, Enter takes it.");
    this.bottom = h("div", { class: "row" }, this.take, this.hint);
    this.element = h(
      "form",
      { class: "choice", hidden: true, onsubmit: (/** @type {Event} */ event) => this.send(event) },
      this.title,
      this.choices,
      this.error,
      this.bottom,
    );
    this.press = (/** @type {KeyboardEvent} */ event) => this.typed(event);
    document.addEventListener("keydown", this.press);
  }

  close() {
    document.removeEventListener("keydown", this.press);
  }

  /** @param {Video} video */
  update(video) {
    this.waiting = video.waiting_for === "still";
    this.element.hidden = video.stills.length < 2;
    this.element.classList.toggle("open", this.waiting);
    this.bottom.hidden = !this.waiting;
    const told = video.picked ? "The stills, and the one that is filmed" : "The stills";
    write(this.title, this.waiting ? "Which still shall be filmed?" : told);
    const key = JSON.stringify([video.stills, video.scores, video.picked, this.waiting]);
    if (key === this.key) return;
    this.key = key;
    if (!this.waiting && this.now) this.look(0);
    const best = video.scores?.length ? video.scores.indexOf(Math.max(...video.scores)) + 1 : 0;
    fill(
      this.choices,
      video.stills.map((path, n) => this.choice(path, n + 1, video, best === n + 1)),
    );
    if (this.waiting) {
      this.look(Math.min(this.now || best || 1, video.stills.length));
      if (!idle()) return;
      this.field(this.now)?.focus({ preventScroll: true });
      this.element.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
    }
  }

  /** @param {string} path @param {number} number @param {Video} video @param {boolean} best */
  choice(path, number, video, best) {
    const [width, height] = sides(video.size);
    const score = video.scores?.[number - 1];
    const name = `Still ${number}${best ? ", the best by score" : ""}${video.picked === number ? ", filmed" : ""}`;
    return h(
      "label",
      { class: `still${video.picked === number ? " picked" : ""}` },
      h("input", {
        type: "radio",
        name: "still",
        value: number,
        disabled: !this.waiting,
        "aria-label": name,
        onchange: () => this.look(number),
      }),
      h("img", { src: api.at(path), alt: "", width, height, class: width < 256 ? "crisp" : null }),
      h("span", { class: "number" }, number),
      Number.isFinite(score) && h("span", { class: "score" }, `${best ? "best, " : ""}${score.toFixed(2)}`),
    );
  }

  /** @param {number} number @returns {HTMLInputElement | null} */
  field(number) {
    return this.choices.querySelector(`input[value="${number}"]`);
  }

  /** @param {number} number 0: none */
  look(number) {
    this.now = number;
    const field = this.field(number);
    if (field) field.checked = true;
    write(this.take, `Film still ${number}`);
    this.looked(number);
  }

  /** @param {KeyboardEvent} event */
  typed(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const elsewhere = target.closest("input:not([type=radio]), textarea, select, [contenteditable], dialog");
    if (!this.waiting || elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
    const count = this.choices.children.length;
    const number = Number(event.key);
    if (number >= 1 && number <= count) this.look(number);
    else if (event.key === "Enter" && !target.closest("button, a, summary")) this.element.requestSubmit();
    else if (event.key === "ArrowRight" && !target.matches("[type=radio]")) this.look((this.now % count) + 1);
    else if (event.key === "ArrowLeft" && !target.matches("[type=radio]"))
      this.look(((this.now + count - 2) % count) + 1);
    else return;
    event.preventDefault();
    this.field(this.now)?.focus();
  }

  /** @param {Event} event */
  async send(event) {
    event.preventDefault();
    if (!this.waiting || this.take.disabled) return;
    this.take.disabled = true;
    try {
      const video = await api.still(this.id, this.now);
      write(this.error, "");
      if (video?.id) this.changed(video);
    } catch (error) {
      write(this.error, /** @type {Error} */ (error).message);
    } finally {
      this.take.disabled = false;
    }
  }
}
