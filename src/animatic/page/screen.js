// The screen of a job: what is seen of the clip so far, and at last the clip.

import * as api from "./api.js";
import { calm, h, write } from "./dom.js";
import { sides } from "./words.js";

/** @typedef {import("./api.js").Video} Video */

/** Pixels. A clip narrower than this is enlarged by a whole number, pixels staying squares. */
const SMALL = 256;

/** Shows pictures one after the other, each when it is whole, in a box of the clip's shape. */
export class Screen {
  /** @param {HTMLElement} host the box's width and height become its `--box-w` and `--box-h`; it leaves `--beside` free */
  constructor(host) {
    this.host = host;
    this.picture = h("img", { alt: "", hidden: true });
    this.words = h("p", { class: "screen-words" });
    this.noise = noise();
    this.box = h("div", { class: "box" }, this.noise, this.words, this.picture);
    this.note = h("p", { class: "screen-note" });
    this.element = h("figure", { class: "screen" }, this.box, this.note);
    /** @type {[number, number]} */
    this.size = [3, 2];
    /** How much of the window's height it may take. */
    this.share = 0.66;
    this.shown = "";
    /** @type {HTMLVideoElement | null} */
    this.film = null;
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(host);
    this.refit = () => this.fit();
    addEventListener("resize", this.refit);
  }

  close() {
    this.observer.disconnect();
    removeEventListener("resize", this.refit);
    this.film?.pause();
  }

  /** @param {Video} video @param {number} looked the still that is being looked at, 0 for none */
  update(video, looked) {
    this.size = sides(video.size);
    this.share = video.waiting_for === "still" ? 0.46 : 0.66; // The choice is to be seen below it.
    this.box.classList.toggle("crisp", this.size[0] < SMALL);
    this.fit();
    if (video.status === "completed") {
      this.play(video);
      return;
    }
    const still = looked || video.picked || (video.preview ? 0 : video.stills.length);
    const chosen = still && (looked || !video.preview || video.status === "failed") ? video.stills[still - 1] : null;
    this.box.classList.toggle("idle", video.status === "in_progress" && !chosen && !video.preview);
    if (chosen) this.show(chosen, `Still ${still}`, false);
    else if (video.preview) this.show(video.preview, "What is seen so far", true);
    else this.picture.hidden = true;
    write(this.words, this.picture.hidden ? emptiness(video) : "");
  }

  /** @param {string} path @param {string} alt @param {boolean} sketch one of few pixels */
  async show(path, alt, sketch) {
    if (path === this.shown) return;
    this.shown = path;
    const next = h("img", { alt, src: api.at(path), class: sketch ? "sketch" : null });
    try {
      await next.decode();
    } catch {
      if (this.shown === path) this.shown = ""; // Gone already: the next one comes.
      return;
    }
    if (this.shown !== path || this.film) return;
    this.picture.replaceWith(next);
    this.picture = next;
    write(this.words, "");
    this.box.classList.remove("idle");
  }

  /** @param {Video} video */
  play(video) {
    if (this.film) return;
    this.box.classList.remove("idle");
    const film = h("video", {
      controls: true,
      loop: true,
      playsinline: true,
      preload: "auto",
      "aria-label": `The film: ${video.prompt}`,
      poster: api.content(video.id, "still"),
      src: api.content(video.id, "video"),
    });
    film.muted = true;
    film.addEventListener("error", () =>
      write(this.note, "The film cannot be played: its file is not there, or this browser does not know its format."),
    );
    this.film = film;
    this.box.replaceChildren(film);
    if (!calm()) film.play().catch(() => {});
    this.fit();
  }

  /** The box: as large as there is room for, small clips by a whole number of the display's own pixels. */
  fit() {
    const [width, height] = this.size;
    const beside = parseFloat(getComputedStyle(this.host).getPropertyValue("--beside")) || 0;
    const room = Math.min(this.host.clientWidth - beside, Math.max(220, innerHeight * this.share) * (width / height));
    if (!(room > 0)) return;
    const dots = devicePixelRatio || 1;
    const small = width < SMALL;
    const times = Math.max(1, Math.floor((room * dots) / width)) / dots;
    const shown = small ? times * width : room;
    this.host.style.setProperty("--box-w", `${shown}px`);
    this.host.style.setProperty("--box-h", `${(shown * height) / width}px`);
    const factor = Number(times.toFixed(2));
    write(
      this.note,
      this.film && small && factor > 1
        ? `Made at ${width} × ${height}, shown ${factor} times as large: every square is a pixel that the model made.`
        : "",
    );
  }
}

/** What every picture begins as. */
function noise() {
  const canvas = h("canvas", { class: "noise sketch", width: 18, height: 12, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  for (let n = 0; pen && n < 18 * 12; n += 1) {
    pen.fillStyle = `hsl(${20 + 40 * Math.random()} ${10 + 25 * Math.random()}% 50% / ${(0.55 * Math.random()).toFixed(2)})`;
    pen.fillRect(n % 18, Math.floor(n / 18), 1, 1);
  }
  return canvas;
}

/** @param {Video} video */
function emptiness(video) {
  if (video.status === "failed") return "";
  if (video.waiting_for === "caption") return "It is drawn when you have read the paragraph.";
  if (video.status === "queued") return "It begins when its turn comes.";
  return video.caption ? "The first strokes come soon." : "First the words, then the picture.";
}
