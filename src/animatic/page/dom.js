// Elements, made without markup: whatever a server says stays text.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element with attributes, listeners (`onclick`) and children.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] nothing is set for null, undefined and false
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  fill(element, ...children);
  return element;
}

/**
 * Makes these the only children.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  const nothing = [null, undefined, false];
  const shown = children.flat().filter((child) => !nothing.includes(/** @type {any} */ (child)));
  element.replaceChildren(.../** @type {(Node | string)[]} */ (shown));
}

/**
 * Sets a text only where it differs, so that selections and screen readers are left alone.
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether the person wants little to move. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Whether the person is at nothing in particular, so that the focus may be moved. */
export function idle() {
  const at = document.activeElement;
  return !at || at === document.body || at.id === "view";
}

/**
 * Tells those who do not see the page. For what matters, not for every step.
 * @param {string} text
 */
export function say(text) {
  write(/** @type {Element} */ (document.getElementById("said")), text);
}

/**
 * A button that does something.
 * @param {string} kind its class: primary, quiet or inset
 * @param {() => void} act
 * @param {...Child} children
 * @returns {HTMLButtonElement}
 */
export const button = (kind, act, ...children) =>
  h("button", { type: "button", class: kind, onclick: act }, ...children);

/**
 * A button of a picture alone.
 * @param {string} name what it does, in words
 * @param {keyof typeof PATHS} picture
 * @param {() => void} act
 * @returns {HTMLButtonElement}
 */
export function pictured(name, picture, act) {
  const made = button("inset", act, icon(picture));
  made.setAttribute("aria-label", name);
  made.title = name;
  return made;
}

/**
 * A name with its value, for a `dl`.
 * @param {Child} name
 * @param {...Child} value
 */
export const pair = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));

const PATHS = {
  sun: "M12 4V2M12 22v-2M4 12H2M22 12h-2M5.6 5.6 4.2 4.2M19.8 19.8l-1.4-1.4M5.6 18.4l-1.4 1.4M19.8 4.2l-1.4 1.4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  moon: "M20 14.5A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.5z",
  picture: "M4 5h16v14H4zM4 16l4.5-4.5 4 4L16 12l4 4M15 9h.01",
  dice: "M5 5h14v14H5zM9 9h.01M15 15h.01M12 12h.01",
  arrow: "M5 12h14M13 6l6 6-6 6",
  back: "M19 12H5M11 18l-6-6 6-6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  remix: "M4 8h11a4 4 0 0 1 4 4M4 8l4-4M4 8l4 4M20 16H9a4 4 0 0 1-4-4M20 16l-4 4M20 16l-4-4",
  again: "M20 11a8 8 0 1 0-2 6M20 5v6h-6",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5 10 17l9-10",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
};

/**
 * A picture for a button; it has no meaning of its own.
 * @param {keyof typeof PATHS} name
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
