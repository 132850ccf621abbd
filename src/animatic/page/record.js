// How a clip was made: what its record says, to be read, and whole.

import * as api from "./api.js";
import { fill, h, icon, pair } from "./dom.js";
import { STAGES, STAGE_NAMES, bytes, duration } from "./words.js";

/** @typedef {Record<string, any>} Mapping */

/** @param {string} id */
export function recordSection(id) {
  const body = h("div", { class: "record" });
  let asked = false;
  const details = h("details", { class: "fold" }, h("summary", {}, "How it was made"), body);
  details.addEventListener("toggle", async () => {
    if (!details.open || asked) return;
    asked = true;
    try {
      const record = await api.record(id);
      fill(body, ...read(record), raw(id, record));
    } catch (error) {
      asked = false;
      fill(body, h("p", { class: "error-line", role: "alert" }, /** @type {Error} */ (error).message));
    }
  });
  return details;
}

/** @param {Mapping} record */
function* read(record) {
  yield times(mapping(record.phases));
  yield part("Models", models(mapping(record.models)));
  yield part("Options", listed(Object.entries(mapping(record.options)).filter(([, value]) => value !== "")));
  const measures = Object.entries(mapping(record.measures)).filter(([, value]) => typeof value === "number");
  yield part("Measures", listed(measures));
  yield part("Made with", listed([["animatic", record.animatic], ...Object.entries(mapping(record.versions))]));
}

/** @param {Mapping} phases */
function times(phases) {
  const seconds = STAGES.map((stage) =>
    Object.entries(phases).reduce(
      (sum, [name, phase]) => sum + (name.startsWith(`${stage}.`) ? Number(mapping(phase).seconds) || 0 : 0),
      0,
    ),
  );
  const total = seconds.reduce((sum, value) => sum + value, 0);
  if (!total) return null;
  const peak = Math.max(...Object.values(phases).map((phase) => Number(mapping(phase).peak_bytes) || 0));
  const bar = h(
    "div",
    { class: "bar", "aria-hidden": "true" },
    seconds.map((value, n) => {
      const share = h("i", { class: `s${n}` });
      share.style.flexGrow = String(value / total);
      return value ? share : null;
    }),
  );
  const legend = seconds.map((value, n) =>
    value
      ? h("div", {}, h("dt", {}, h("i", { class: `s${n}` }), STAGE_NAMES[STAGES[n]]), h("dd", {}, duration(value)))
      : null,
  );
  return part(
    "Time",
    bar,
    h("dl", { class: "legend" }, legend, pair("in all", duration(total)), peak > 0 && pair("peak memory", bytes(peak))),
  );
}

/** @param {Mapping} all */
function models(all) {
  const entries = Object.entries(all);
  const shown = entries.map(([stage, value]) => {
    const model = mapping(value);
    const name = STAGE_NAMES[/** @type {keyof typeof STAGE_NAMES} */ (stage)] ?? stage;
    return pair(
      name,
      h("b", {}, said(model.repo)),
      ` ${[model.licence, model.dtype].filter(Boolean).map(said).join(", ")}`,
    );
  });
  return entries.length > 0 && h("dl", { class: "models" }, shown);
}

/** @param {[string, any][]} entries */
function listed(entries) {
  return (
    entries.length > 0 &&
    h(
      "dl",
      { class: "pairs" },
      entries.map(([name, value]) => pair(name, said(value))),
    )
  );
}

/** @param {string} title @param {...any} children */
function part(title, ...children) {
  return children.some(Boolean) ? h("section", {}, h("h3", {}, title), ...children) : null;
}

/** @param {string} id @param {Mapping} record */
function raw(id, record) {
  const text = JSON.stringify(record, null, 2);
  const link = h(
    "a",
    { class: "quiet", download: `${id}.json`, href: api.recordOf(id) },
    icon("download"),
    "The record as a file",
  );
  return h(
    "section",
    {},
    h(
      "details",
      {},
      h("summary", {}, "All of it, as JSON"),
      h("pre", { tabindex: 0, "aria-label": "The record as JSON" }, text),
    ),
    link,
  );
}

/** @param {any} value @returns {Mapping} */
const mapping = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});

/** @param {any} value */
const said = (value) =>
  value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
