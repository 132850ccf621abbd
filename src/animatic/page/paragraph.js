// The paragraph that the sentence becomes: it appears, is read, and is changed at any time until the clip is there.

import * as api from "./api.js";
import { button, calm, fill, h, icon, idle, write } from "./dom.js";
import { over } from "./words.js";

/** @typedef {import("./api.js").Video} Video */

export class Paragraph {
  /** @param {string} id @param {(video: Video) => void} changed */
  constructor(id, changed) {
    this.id = id;
    this.changed = changed;
    this.caption = /** @type {string | null | undefined} */ (undefined);
    this.asked = false;
    this.text = h("p", { class: "caption", dir: "auto" });
    this.edit = button("quiet", () => this.open(), icon("edit"), "Edit");
    this.edit.hidden = true;
    this.field = h("textarea", {
      id: "caption",
      rows: 7,
      dir: "auto",
      required: true,
      "aria-describedby": "caption-error",
    });
    this.error = h("p", { class: "error-line", id: "caption-error", role: "alert" });
    this.hint = h("p", { class: "hint" });
    this.save = h("button", { class: "primary", type: "submit" });
    this.drop = button("quiet", () => this.close(), "Leave it");
    this.form = h(
      "form",
      { hidden: true, onsubmit: (/** @type {Event} */ event) => this.send(event) },
      h("label", { for: "caption", class: "unseen" }, "The paragraph"),
      this.field,
      this.hint,
      this.error,
      h("div", { class: "row" }, this.save, this.drop),
    );
    this.field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
      if (event.key === "Escape" && !this.asked) this.close();
    });
    this.element = h(
      "section",
      { class: "paragraph" },
      h("div", { class: "heading" }, h("h2", {}, "The paragraph"), this.edit),
      this.text,
      this.form,
    );
  }

  /** @param {Video} video */
  update(video) {
    const first = this.caption === undefined;
    if (video.caption !== this.caption) this.write(video.caption, first);
    const pending = !video.caption && !over(video);
    this.element.hidden = !video.caption && over(video);
    this.text.classList.toggle("pending", pending);
    if (pending)
      write(
        this.text,
        `A chat model ${video.status === "queued" ? "writes it when its turn comes" : "is writing it"}.`,
      );
    this.edit.hidden = over(video) || !this.form.hidden || pending;
    const asked = video.waiting_for === "caption";
    if (asked && !this.asked) this.open(asked);
    if (!asked && this.asked) this.close();
    if (over(video) && !this.form.hidden) this.close();
    this.asked = asked;
    write(
      this.hint,
      asked ? "Nothing is drawn before you have read it." : "The still and the film are made anew from it.",
    );
    write(this.save, asked ? "Go on with this paragraph" : "Make it from this paragraph");
    this.drop.hidden = asked;
  }

  /** @param {string | null} caption @param {boolean} still whether it was there before anybody looked */
  write(caption, still) {
    this.caption = caption;
    if (still || calm() || !caption) {
      write(this.text, caption ?? "");
      return;
    }
    fill(
      this.text,
      caption.split(/(?<=\s)/).map((word, n) => {
        const span = h("span", { class: "word" }, word);
        span.style.animationDelay = `${n * 28}ms`;
        return span;
      }),
    );
  }

  open(asked = false) {
    this.field.value = this.caption ?? "";
    this.form.hidden = false;
    this.text.hidden = this.edit.hidden = true;
    if (!asked || idle()) this.field.focus({ preventScroll: asked });
  }

  close() {
    const within = this.form.contains(document.activeElement);
    this.form.hidden = true;
    this.text.hidden = this.edit.hidden = false;
    write(this.error, "");
    if (within) this.edit.focus();
  }

  /** @param {Event} event */
  async send(event) {
    event.preventDefault();
    const caption = this.field.value.trim();
    if (!caption) {
      write(this.error, "It needs some words.");
      return;
    }
    this.save.disabled = true;
    try {
      const video = await api.caption(this.id, caption);
      this.close();
      if (video?.id) this.changed(video);
    } catch (error) {
      write(this.error, /** @type {Error} */ (error).message);
    } finally {
      this.save.disabled = false;
    }
  }
}
