/** Who are you? Asked where the server knows people by tokens. */
import { post } from "./api.js";
import { h } from "./dom.js";

let asking = null;

/** Ask for a token until the server takes it. */
export function askForToken() {
  asking ??= new Promise((resolve) => {
    const box = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
    const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "token-title" }, h("form", { class: "form", onsubmit: send },
      h("h2", { id: "token-title" }, "Sign in"), h("p", { class: "quiet" }, "This server knows people by a token. Whoever runs it has one for you."),
      h("div", { class: "field" }, h("label", { class: "name", htmlFor: "token" }, "Token"), box, wrong),
      h("div", { class: "submit" }, h("button", { type: "submit", class: "button is-main" }, "Sign in"))));
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing to see without
    async function send(event) {
      event.preventDefault();
      try {
        await post("/v1/session", { token: box.value.trim() });
      } catch (error) {
        wrong.textContent = [401, 422].includes(error.status) ? "That token is not known here." : error.message;
        wrong.hidden = false;
        return;
      }
      asking = null;
      dialog.close();
      dialog.remove();
      resolve();
    }
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
