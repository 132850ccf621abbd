// The same shot again, but for its sentence or its seed.

import * as api from "./api.js";
import { h, write } from "./dom.js";

/** @typedef {import("./api.js").Video} Video */

/**
 * What another take of a video is to be asked for: where somebody chose the still, its stills are others now, and
 * somebody chooses again.
 * @param {Video} video @param {string} prompt @param {number} seed
 * @returns {import("./api.js").Fields}
 */
export function anew(video, prompt, seed) {
  const chosen = video.stills.length > 1 && !video.scores.length;
  return { prompt, seed, ...(chosen ? { pick: null } : {}) };
}

/**
 * @param {Video} video
 * @param {(href: string) => void} go
 * @returns {HTMLFormElement} hidden at first
 */
export function remixForm(video, go) {
  const prompt = h("textarea", { id: "remix-prompt", rows: 2, dir: "auto", required: true });
  prompt.value = video.prompt;
  const seed = h("input", {
    id: "remix-seed",
    type: "number",
    min: 0,
    step: 1,
    value: video.seed,
    inputmode: "numeric",
  });
  const error = h("p", { class: "error-line", role: "alert" });
  const button = h("button", { class: "primary" }, "Make the remix");
  const form = h(
    "form",
    { class: "remix", hidden: true },
    h("p", { class: "hint" }, "Model, size and all options stay as they are."),
    h("label", { for: "remix-prompt" }, "Sentence"),
    prompt,
    h("div", { class: "row" }, h("label", { for: "remix-seed" }, "Seed"), seed, button),
    error,
  );
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const made = await api.remix(video.id, anew(video, prompt.value.trim(), Number(seed.value) || 0));
      go(api.permalink(made.id));
    } catch (refusal) {
      write(error, /** @type {Error} */ (refusal).message);
    } finally {
      button.disabled = false;
    }
  });
  return form;
}
