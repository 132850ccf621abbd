// The form that is shown where a key is needed.

import * as api from "./api.js";
import { h, write } from "./dom.js";

/** @param {() => void} done */
export function signInView(done) {
  const key = h("input", {
    id: "key",
    type: "password",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
    "aria-describedby": "key-error",
  });
  const error = h("p", { class: "error-line", id: "key-error", role: "alert" });
  const button = h("button", { class: "primary" }, "Sign in");
  const form = h(
    "form",
    { class: "panel signin" },
    h("label", { for: "key" }, "Key"),
    key,
    error,
    button,
    h(
      "p",
      { class: "hint" },
      "Whoever runs this server makes keys with ",
      h("code", {}, "animatic serve keys add NAME"),
      ".",
    ),
  );
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await api.signIn(key.value.trim());
      done();
    } catch (refusal) {
      write(error, /** @type {Error} */ (refusal).message);
      key.focus();
      key.select();
    } finally {
      button.disabled = false;
    }
  });
  return h("div", { class: "view narrow" }, h("h1", { class: "title" }, "This studio needs a key"), form);
}
