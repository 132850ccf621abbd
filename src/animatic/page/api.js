// The server: requests, refusals, and the stream of a video's changes.

import { over } from "./words.js";

/**
 * @typedef {{
 *   id: string, model: string, status: "queued" | "in_progress" | "completed" | "failed", progress: number,
 *   created_at: number, completed_at: number | null, expires_at: number | null, prompt: string, seconds: string, size: string,
 *   remixed_from_video_id: string | null, error: { code: string, message: string } | null, seed: number,
 *   caption: string | null, stage: string | null, phase: string | null, step: number | null, steps: number | null,
 *   remaining_seconds: number | null, position: number | null, waiting_for: "caption" | "still" | null,
 *   stills: string[], scores: number[], picked: number | null, preview: string | null,
 *   options: Record<string, any>, notices: string[], remarks: string[],
 * }} Video
 * @typedef {{ id: string, title?: string, ready?: boolean, size?: string, seconds?: string, sizes?: string[],
 *   vocabulary?: string[] }} Model
 * @typedef {Record<string, any>} Fields what create takes
 */

/** Where the page's server is, a proxy's prefix included. */
export const root = new URL("../", import.meta.url);

/**
 * A path of the server as a URL, below the prefix there may be.
 * @param {string} path such as /v1/models
 */
export function at(path) {
  const below = path.startsWith(root.pathname) ? path.slice(root.pathname.length) : path.replace(/^\/+/, "");
  return new URL(`./${below}`, root).href;
}

/** @param {string} id */
export const permalink = (id) => at(`/videos/${encodeURIComponent(id)}`);

/**
 * @param {string} id
 * @param {"video" | "thumbnail" | "spritesheet" | "still" | "card"} variant
 */
export const content = (id, variant) => at(`/v1/videos/${encodeURIComponent(id)}/content?variant=${variant}`);

/** The server says no, or nothing at all (`status` 0). */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {{ message?: string, code?: string, param?: string }} [error]
   * @param {number} [wait] seconds after which it may be asked again
   */
  constructor(status, error = {}, wait = 0) {
    super(error.message || (status ? `The server answered ${status}.` : "The server cannot be reached."));
    this.status = status;
    this.code = error.code ?? "";
    this.param = error.param ?? "";
    this.wait = wait;
  }
}

/** Called when a key is needed. @type {() => void} */
let locked = () => {};

/** @param {() => void} action */
export const whenLocked = (action) => void (locked = action);

/**
 * @param {string} method
 * @param {string} path
 * @param {Fields | FormData} [body]
 * @param {{ signal?: AbortSignal, headers?: Record<string, string> }} [more]
 * @returns {Promise<any>}
 */
async function ask(method, path, body, more = {}) {
  const headers = { ...more.headers };
  const form = body instanceof FormData;
  if (body && !form) headers["content-type"] = "application/json";
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(at(path), {
      method,
      headers,
      body: body && (form ? body : JSON.stringify(body)),
      signal: more.signal,
    });
  } catch (error) {
    if (more.signal?.aborted) throw error;
    throw new Refusal(0);
  }
  const said = await answer.json().catch(() => null);
  if (answer.ok) return said;
  if (answer.status === 401 && !path.startsWith("/session")) locked();
  throw new Refusal(answer.status, said?.error, Number(answer.headers.get("retry-after")) || 0);
}

/** @param {string} id @param {string} [action] */
const path = (id, action) => `/v1/videos/${encodeURIComponent(id)}${action ? `/${action}` : ""}`;

/**
 * JSON, or a form where a file goes with it.
 * @param {Fields} fields
 */
function packed(fields) {
  if (!(fields.input_reference instanceof Blob)) return fields;
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value instanceof Blob ? value : String(value));
  return form;
}

export const session = () => ask("GET", "/session");
/** @param {string} key */
export const signIn = (key) => ask("POST", "/session", { key });
export const signOut = () => ask("DELETE", "/session");
/** @returns {Promise<{ data: Model[] }>} */
export const models = () => ask("GET", "/v1/models");
/** @param {Fields} fields @param {AbortSignal} signal */
export const plan = (fields, signal) => ask("POST", "/v1/videos/plan", packed(fields), { signal });
/** @param {Fields} fields @param {string} once the same for every try of one wish: it is queued once @returns {Promise<Video>} */
export const create = (fields, once) =>
  ask("POST", "/v1/videos", packed(fields), { headers: { "idempotency-key": once } });
/** @param {{ limit: number, after?: string }} page @returns {Promise<{ data: Video[], last_id: string, has_more: boolean }>} */
export const list = ({ limit, after }) =>
  ask("GET", `/v1/videos?order=desc&limit=${limit}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
/** @param {string} id @returns {Promise<Video>} */
export const video = (id) => ask("GET", path(id));
/** @param {string} id @param {Fields} fields @returns {Promise<Video>} */
export const remix = (id, fields) => ask("POST", path(id, "remix"), fields);
/** @param {string} id */
export const cancel = (id) => ask("POST", path(id, "cancel"));
/** @param {string} id @param {string} caption */
export const caption = (id, caption) => ask("POST", path(id, "caption"), { caption });
/** @param {string} id @param {number} still */
export const still = (id, still) => ask("POST", path(id, "still"), { still });
/** @param {string} id */
export const remove = (id) => ask("DELETE", path(id));
/** @param {string} id where it is */
export const recordOf = (id) => at(path(id, "record"));
/** @param {string} id */
export const record = (id) => ask("GET", path(id, "record"));

/** A name for one wish; `crypto.randomUUID` is not there without TLS. */
export function token() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Follows a video until it is over. The browser reconnects a broken stream by itself, but not a refused one: a server that
 * restarts refuses for a while, so that is tried again here.
 * @param {string} id
 * @param {{ video: (video: Video) => void, lost: (lost: boolean) => void, gone: (refusal: Refusal) => void }} tell
 * @returns {() => void} stops it
 */
export function follow(id, tell) {
  /** @type {EventSource | null} */
  let source = null;
  let timer = 0;
  let ended = false;

  const stop = () => {
    ended = true;
    source?.close();
    clearTimeout(timer);
  };

  const open = () => {
    source = new EventSource(at(path(id, "events")));
    source.addEventListener("open", () => tell.lost(false));
    source.addEventListener("video", (event) => {
      /** @type {Video} */
      const video = JSON.parse(event.data);
      if (over(video)) stop();
      tell.lost(false);
      tell.video(video);
    });
    source.addEventListener("error", () => {
      if (ended) return;
      tell.lost(true);
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(again, 1500);
    });
  };

  const again = async () => {
    try {
      await video(id);
    } catch (error) {
      if (ended) return;
      if (error instanceof Refusal && [401, 403, 404].includes(error.status)) {
        stop();
        tell.gone(error);
      } else timer = setTimeout(again, 2000);
      return;
    }
    if (!ended) open();
  };

  open();
  return stop;
}
