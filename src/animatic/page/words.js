// Numbers and states in words.

/** @typedef {import("./api.js").Video} Video */

/** The stages in order, by the first part of a phase's name. */
export const STAGES = /** @type {const} */ (["refine", "image", "video", "file"]);

export const STAGE_NAMES = { refine: "Paragraph", image: "Still", video: "Film", file: "File" };

const DOING = {
  "refine.generate": "Writing the paragraph",
  "image.encode": "Reading the paragraph",
  "video.encode": "Reading the paragraph",
  "image.denoise": "Drawing the still",
  "image.decode": "Developing the still",
  "video.anchor": "Laying in the first frame",
  "video.denoise": "Filming",
  "video.decode": "Developing the film",
  "file.write": "Writing the file",
};

const FAILURES = {
  cancelled: "Cancelled",
  invalid_request: "This cannot be made as asked",
  over_capacity: "This does not fit here",
  weights_missing: "The model is not installed here",
  storage_full: "The disk is full",
  worker_crashed: "Three workers died of it",
  internal_error: "Something broke",
};

/**
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 9.95) return `${Math.max(0.1, seconds).toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * As one says it while waiting: no tenths.
 * @param {number} seconds
 */
export function roughly(seconds) {
  return seconds < 10 ? `${Math.max(1, Math.round(seconds))} s` : duration(seconds);
}

/** @param {number} count */
export function bytes(count) {
  const gib = count / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${Math.max(1, Math.round(count / 2 ** 20))} MiB`;
}

/** @param {number} time seconds since 1970 */
export function ago(time) {
  const seconds = Date.now() / 1000 - time;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time * 1000).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

/** @param {number} count */
function ordinal(count) {
  const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(count);
  return count + { one: "st", two: "nd", few: "rd", other: "th", zero: "th", many: "th" }[rule];
}

/** @param {Video} video */
export const over = (video) => video.status === "completed" || video.status === "failed";

/** @param {Video} video */
export const cancelled = (video) => video.status === "failed" && video.error?.code === "cancelled";

/** @param {Video} video */
export function failure(video) {
  return FAILURES[/** @type {keyof typeof FAILURES} */ (video.error?.code)] ?? "It failed";
}

/**
 * What is going on, without the step.
 * @param {Video} video
 */
export function doing(video) {
  if (video.status === "completed") return "Finished";
  if (video.status === "failed") return failure(video);
  if (video.waiting_for === "caption") return "The paragraph waits for you";
  if (video.waiting_for === "still") return "Choose a still";
  if (video.status === "queued") {
    if (!video.position) return "In the queue";
    return video.position === 1 ? "Next in the queue" : `${ordinal(video.position)} in the queue`;
  }
  return DOING[/** @type {keyof typeof DOING} */ (video.phase)] ?? "Getting ready";
}

/** @param {Video} video */
export function step(video) {
  return video.steps ? `step ${video.step ?? 0} of ${video.steps}` : "";
}

/**
 * Which stage a video is in. A phase that is done ahead of its stage (the film's prompt is read with the still's) does
 * not count: what is there decides.
 * @param {Video} video
 * @returns {number} of STAGES; their number when all is done
 */
export function reached(video) {
  if (video.status === "completed") return STAGES.length;
  if (video.phase?.startsWith("file.")) return 3;
  if (/^video\.(anchor|denoise|decode)/.test(video.phase ?? "")) return 2;
  if (video.waiting_for === "caption" || !video.caption) return 0;
  return 1;
}

/**
 * A value as it is typed into a field: a number where it is one, true and false.
 * @param {string} text
 */
export function typed(text) {
  const trimmed = text.trim();
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : text;
}

/**
 * @param {string} size such as 144x96
 * @returns {[number, number]}
 */
export function sides(size) {
  const [width, height] = String(size).split("x").map(Number);
  return width > 0 && height > 0 ? [width, height] : [3, 2];
}
