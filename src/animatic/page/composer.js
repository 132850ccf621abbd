// Where a video begins: one sentence, and what may be said besides.

import * as api from "./api.js";
import { button, fill, h, icon, pictured, write } from "./dom.js";
import { Plan } from "./plan.js";
import { typed } from "./words.js";

/** @typedef {import("./api.js").Model} Model */

/** Of the toy world that models with a vocabulary know. */
const TOYS = [
  "an orange rocket takes off into the night sky",
  "a red boat sails to the right",
  "a blue fish swims left in the sea",
  "a green bird flies over the city",
  "a white cat rests in the snow",
];
const FILMS = [
  "a lighthouse keeper walks down to the sea at dawn",
  "rain on the window of a night train",
  "a paper boat in a flooded street",
];
const KNOWN = [
  "video.num_inference_steps",
  "video.guidance_scale",
  "video.num_frames",
  "video.negative_prompt",
  "video.scheduler",
  "image.num_inference_steps",
  "image.guidance_scale",
  "refine.temperature",
  "file.fps",
  "file.crf",
];
const DRAFT = "animatic-draft";
const MODEL = "animatic-model";

/**
 * @param {Model[]} models
 * @param {(href: string) => void} go
 * @returns {{ element: HTMLElement, close: () => void, focus: () => void }}
 */
export function composer(models, go) {
  let once = api.token();
  /** @type {File | null} */
  let picture = null;

  const prompt = h("textarea", {
    id: "prompt",
    rows: 1,
    dir: "auto",
    maxlength: 2000,
    required: true,
    enterkeyhint: "go",
    autocomplete: "off",
    "aria-describedby": "wrong",
  });
  prompt.value = kept(sessionStorage, DRAFT);
  const model = h(
    "select",
    { id: "model" },
    models.map((one) =>
      h(
        "option",
        { value: one.id, disabled: one.ready === false },
        `${one.title || one.id}${one.ready === false ? " (not installed)" : ""}`,
      ),
    ),
  );
  const ready = models.filter((one) => one.ready !== false);
  model.value = ready.some((one) => one.id === kept(localStorage, MODEL))
    ? kept(localStorage, MODEL)
    : (ready[0]?.id ?? "");
  const seed = h("input", { id: "seed", type: "number", min: 0, step: 1, value: 0, inputmode: "numeric" });
  const dice = pictured("Another seed", "dice", () => {
    seed.value = String(Math.floor(Math.random() * 10000));
    changed();
  });
  const stills = [1, 2, 3, 4].map((count) =>
    h("input", { type: "radio", name: "stills", value: count, checked: count === 1, "aria-label": `${count}` }),
  );
  const stillsField = h(
    "fieldset",
    { class: "field" },
    h("legend", {}, "Stills"),
    h(
      "div",
      { class: "segments" },
      stills.map((one) => h("label", {}, one, h("span", { "aria-hidden": "true" }, one.value))),
    ),
  );
  const best = h("input", { type: "checkbox", id: "best" });
  const bestLabel = h(
    "label",
    { class: "check", for: "best", hidden: true },
    best,
    h("span", {}, "Take the best still without asking me"),
  );
  const review = h("input", { type: "checkbox", id: "review" });
  const reviewLabel = h(
    "label",
    { class: "check", for: "review" },
    review,
    h("span", {}, "Let me read the paragraph first"),
  );

  const size = h("select", { id: "size" });
  const sizeField = h("div", { class: "field" }, h("label", { for: "size" }, "Size"), size);
  const seconds = h("input", { id: "seconds", type: "number", min: 0, step: "any", inputmode: "decimal" });
  const caption = h("textarea", { id: "own", rows: 3, dir: "auto", placeholder: "In place of the chat model's." });
  const rows = h("div", { class: "rows" });
  const add = button("quiet", () => rows.append(row()), "Add an option");

  const file = h("input", {
    id: "picture",
    type: "file",
    accept: "image/png,image/jpeg,image/webp",
    class: "unseen",
    onchange: () => take(file.files?.[0]),
  });
  const chosen = h("span", { class: "chosen", hidden: true });
  const drop = h("label", { class: "picture", for: "picture" }, icon("picture"), h("span", {}, "Begin with a picture"));

  const wrong = h("p", { class: "error-line", id: "wrong", role: "alert" });
  const plan = new Plan((refusal) => show(refusal));
  const make = h("button", { type: "submit", class: "primary big" }, "Make the video", icon("arrow"));
  const ideas = h("p", { class: "ideas" });

  const more = h(
    "details",
    { class: "more" },
    h("summary", {}, "More options"),
    h(
      "div",
      { class: "fields" },
      sizeField,
      h("div", { class: "field" }, h("label", { for: "seconds" }, "Seconds"), seconds),
      h("div", { class: "field wide" }, h("label", { for: "own" }, "Your own paragraph"), caption),
      h("fieldset", { class: "field wide" }, h("legend", {}, "Options by name"), rows, add),
    ),
    h(
      "datalist",
      { id: "option-names" },
      KNOWN.map((name) => h("option", { value: name })),
    ),
  );

  const form = h(
    "form",
    { class: "panel composer", onsubmit: send },
    h("label", { class: "unseen", for: "prompt" }, "One short sentence: what the video shows"),
    prompt,
    h("div", { class: "begin" }, file, drop, chosen),
    wrong,
    h(
      "div",
      { class: "fields main" },
      h("div", { class: "field grow" }, h("label", { for: "model" }, "Models"), model),
      stillsField,
      h("div", { class: "field" }, h("label", { for: "seed" }, "Seed"), h("div", { class: "joined" }, seed, dice)),
    ),
    h("div", { class: "checks" }, reviewLabel, bestLabel),
    more,
    h("div", { class: "bottom" }, h("div", { class: "forecast" }, plan.element), make),
    plan.notes,
  );

  prompt.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault(); // It is one sentence: Enter makes it.
    form.requestSubmit();
  });
  form.addEventListener("input", changed);
  model.addEventListener("change", () => {
    keep(localStorage, MODEL, model.value);
    shape();
  });
  for (const kind of ["dragenter", "dragover"]) {
    form.addEventListener(kind, (/** @type {DragEvent} */ event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      form.classList.add("over");
    });
  }
  form.addEventListener("dragleave", (/** @type {DragEvent} */ event) => {
    if (!form.contains(/** @type {Node | null} */ (event.relatedTarget))) form.classList.remove("over");
  });
  form.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    form.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  form.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
    const pasted = event.clipboardData?.files[0];
    if (!pasted) return;
    event.preventDefault();
    take(pasted);
  });

  /** What goes with the chosen model. */
  function shape() {
    const one = models.find((model_) => model_.id === model.value);
    const sizes = one?.sizes ?? [];
    fill(
      size,
      h("option", { value: "" }, one?.size ? one.size.replace("x", " × ") : "as the model has it"),
      sizes.filter((name) => name !== one?.size).map((name) => h("option", { value: name }, name.replace("x", " × "))),
    );
    sizeField.hidden = sizes.length < 2;
    seconds.placeholder = one?.seconds ?? "";
    const examples = one?.vocabulary?.length ? TOYS : FILMS;
    prompt.placeholder = examples[0];
    fill(
      ideas,
      h("span", {}, "For example "),
      examples.slice(1).map((text) =>
        button(
          "idea",
          () => {
            prompt.value = text;
            changed();
            prompt.focus();
          },
          text,
        ),
      ),
    );
  }

  function row() {
    const name = h("input", {
      "aria-label": "Option",
      list: "option-names",
      placeholder: "video.guidance_scale",
      spellcheck: "false",
      autocapitalize: "off",
    });
    const value = h("input", { "aria-label": "Value", placeholder: "5", spellcheck: "false", autocapitalize: "off" });
    const element = h(
      "div",
      { class: "option" },
      name,
      h("span", { "aria-hidden": "true" }, "="),
      value,
      pictured("Remove this option", "close", () => {
        element.remove();
        changed();
      }),
    );
    return element;
  }

  /**
   * @param {boolean} [whole] false: without options whose values are still to be typed
   * @returns {api.Fields}
   */
  function fields(whole = true) {
    /** @type {api.Fields} */
    const made = { prompt: prompt.value.trim() };
    if (model.value) made.model = model.value;
    if (seed.value !== "") made.seed = Number(seed.value);
    const count = Number(stills.find((one) => one.checked)?.value ?? 1);
    if (count > 1 && !picture) {
      made.stills = count;
      if (best.checked) made.pick = "best";
    }
    if (review.checked && !caption.value.trim()) made.review = "caption";
    if (size.value) made.size = size.value;
    if (seconds.value) made.seconds = seconds.value;
    if (caption.value.trim()) made.caption = caption.value.trim();
    for (const element of rows.children) {
      const [name, value] = element.querySelectorAll("input");
      if (name.value.trim() && (whole || value.value)) made[name.value.trim()] = typed(value.value);
    }
    if (picture) made.input_reference = picture;
    return made;
  }

  function changed() {
    once = api.token();
    grow();
    keep(sessionStorage, DRAFT, prompt.value);
    stillsField.hidden = Boolean(picture);
    bestLabel.hidden = Boolean(picture || stills[0].checked);
    reviewLabel.hidden = Boolean(caption.value.trim());
    ideas.hidden = Boolean(prompt.value);
    plan.ask(prompt.value.trim() ? fields(false) : null);
  }

  function grow() {
    prompt.style.height = "auto";
    prompt.style.height = `${prompt.scrollHeight}px`;
  }

  /** @param {File | undefined | null} given */
  function take(given) {
    picture = given && given.type.startsWith("image/") ? given : null;
    if (!picture) file.value = "";
    write(wrong, given && !picture ? "This is no picture." : "");
    chosen.hidden = !picture;
    drop.hidden = Boolean(picture);
    fill(chosen);
    if (picture) {
      const url = URL.createObjectURL(picture);
      const image = h("img", { src: url, alt: "", onload: () => URL.revokeObjectURL(url) });
      fill(
        chosen,
        image,
        h("span", {}, `${picture.name} becomes the still`),
        pictured("Without this picture", "close", () => take(null)),
      );
    }
    changed();
  }

  /** @param {api.Refusal | null} refusal */
  function show(refusal) {
    write(wrong, refusal ? refusal.message : "");
  }

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (!prompt.value.trim()) {
      prompt.focus();
      return;
    }
    make.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      const video = await api.create(fields(), once);
      once = api.token();
      keep(sessionStorage, DRAFT, "");
      go(api.permalink(video.id));
    } catch (error) {
      show(/** @type {api.Refusal} */ (error));
    } finally {
      make.disabled = false;
      form.removeAttribute("aria-busy");
    }
  }

  shape();
  const element = h(
    "section",
    { class: "begin-here", "aria-label": "A new video" },
    h("h1", { class: "title" }, "One sentence becomes a film"),
    form,
    ideas,
  );
  requestAnimationFrame(changed);
  document.fonts?.ready.then(grow);
  addEventListener("resize", grow);
  return {
    element,
    close: () => {
      plan.close();
      removeEventListener("resize", grow);
    },
    focus: () => {
      if (matchMedia("(pointer: fine)").matches) prompt.focus({ preventScroll: true });
    },
  };
}

/** @param {Storage} storage @param {string} key */
function kept(storage, key) {
  try {
    return storage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/** @param {Storage} storage @param {string} key @param {string} value */
function keep(storage, key, value) {
  try {
    storage.setItem(key, value);
  } catch {
    // Not kept, then.
  }
}
