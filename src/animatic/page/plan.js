// What a video would take, said in a line while its sentence is typed, and drawn for whoever wants to see more.

import * as api from "./api.js";
import { fill, h, write } from "./dom.js";
import { STAGES, STAGE_NAMES, bytes, duration } from "./words.js";

/** Milliseconds without a change before the server is asked. */
const PAUSE = 500;

export class Plan {
  /** @param {(refusal: api.Refusal | null) => void} refused called with why it cannot be made, or null */
  constructor(refused) {
    this.refused = refused;
    this.line = h("span", { class: "plan-line" });
    this.summary = h("summary", {}, this.line);
    this.body = h("div", { class: "plan-body" });
    this.element = h("details", { class: "plan", hidden: true }, this.summary, this.body);
    this.notes = h("p", { class: "plan-notes", dir: "auto", hidden: true });
    this.timer = 0;
    this.controller = new AbortController();
  }

  close() {
    clearTimeout(this.timer);
    this.controller.abort();
  }

  /** @param {api.Fields | null} fields null: there is nothing to plan yet */
  ask(fields) {
    this.close();
    if (!fields) {
      this.element.hidden = this.notes.hidden = true;
      this.refused(null);
      return;
    }
    this.controller = new AbortController();
    this.timer = setTimeout(() => this.fetch(fields), PAUSE);
  }

  /** @param {api.Fields} fields */
  async fetch(fields) {
    const { signal } = this.controller;
    try {
      const plan = await api.plan(fields, signal);
      if (signal.aborted) return;
      this.show(plan);
      this.refused(null);
    } catch (error) {
      if (signal.aborted) return;
      this.element.hidden = this.notes.hidden = true;
      if (error instanceof api.Refusal && error.status === 400) this.refused(error);
    }
  }

  /** @param {Record<string, any>} plan */
  show(plan) {
    this.element.hidden = false;
    write(this.line, `about ${duration(plan.seconds)}`);
    const notes = (plan.notes ?? []).join(" ");
    write(this.notes, notes);
    this.notes.hidden = !notes;
    const whole = plan.seconds || 1;
    const phases = plan.phases ?? plan.rows ?? [];
    const loads = phases.flatMap((/** @type {any} */ phase) => phase.loads ?? []);
    fill(
      this.body,
      lane(
        "computing",
        phases.map((/** @type {any} */ one) => block(one.begin, one.end, whole, one.phase, one.phase)),
      ),
      lane(
        "loading",
        loads.map((/** @type {any} */ one) =>
          block(one.begin, one.end, whole, one.component, `${one.component}, ${bytes(one.bytes)} from ${one.from}`),
        ),
      ),
      h(
        "dl",
        { class: "legend" },
        STAGES.slice(0, 3).map((stage, n) => h("div", {}, h("dt", {}, h("i", { class: `s${n}` }), STAGE_NAMES[stage]))),
      ),
      h(
        "p",
        { class: "hint" },
        `${duration(plan.computing ?? 0)} of computing, ${duration(plan.loading ?? 0)} of loading. ${bytes(plan.peak_device)} of ${bytes(plan.memory)} on ${plan.device}; the time is ${plan.basis || "an estimate"}.`,
      ),
    );
  }
}

/** @param {string} name @param {Node[]} blocks */
function lane(name, blocks) {
  return h(
    "div",
    { class: "lane" },
    h("span", {}, name),
    h("div", { class: "lane-track", "aria-hidden": "true" }, blocks),
  );
}

/**
 * @param {number} begin @param {number} end @param {number} whole @param {string} name its stage comes first
 * @param {string} title
 */
function block(begin, end, whole, name, title) {
  const stage = Math.max(0, STAGES.indexOf(/** @type {any} */ (name.split(".")[0])));
  const element = h("i", { class: `s${stage}`, title: `${title}: ${duration(end - begin)}` });
  element.style.left = `${(100 * begin) / whole}%`;
  element.style.width = `${(100 * (end - begin)) / whole}%`;
  return element;
}
