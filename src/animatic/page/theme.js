// Dark, light, or as the system has it. Runs before anything is drawn, so that no page flashes in the other colours.
"use strict";

(() => {
  const key = "animatic-theme";
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };

  /** @param {string | null} name "dark", "light", or null for the system's */
  const apply = (name) => {
    if (name === "dark" || name === "light") root.dataset.theme = name;
    else delete root.dataset.theme;
  };

  const dark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark")) === "dark";

  const toggle = () => {
    const name = dark() ? "light" : "dark";
    apply(name);
    try {
      localStorage.setItem(key, name);
    } catch {
      // Not kept, then.
    }
  };

  apply(stored());
  /** @type {any} */ (window).animaticTheme = { dark, toggle };
})();
