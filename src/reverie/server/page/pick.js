/** A dialog with what was made before, to take one file of it. */
import { get } from "./api.js";
import { h, icon } from "./dom.js";
import { filesOf } from "./results.js";

/** The artifact that a person picks, or null; pictures: whether no other is of use. */
export async function pickArtifact(pictures) {
  const { jobs } = await get("/v1/jobs?state=succeeded&most=30");
  const files = jobs.flatMap((job) => filesOf(job).map((file) => ({ ...file, of: job }))).filter((file) => !pictures || file.media === "image/png");
  return new Promise((resolve) => {
    let picked = null;
    const choose = (file) => {
      picked = file;
      dialog.close();
    };
    const shown = files.map((file) => h("li", {},
      h("button", { type: "button", class: "pick", onclick: () => choose(file), title: `${file.name}, of ${file.of.model}` },
        file.media === "image/png" ? h("img", { src: file.url, alt: "", class: "pixels", loading: "lazy" }) : icon("file"),
        h("span", { class: "quiet" }, file.name.split("/").pop()))));
    const empty = h("p", { class: "empty" }, "Nothing has been made yet. Sample something first, and it is here to be used.");
    const dialog = h("dialog", { class: "dialog", "aria-label": "Take a result" },
      h("header", { class: "dialog-head" }, h("h2", {}, "Take a result"),
        h("button", { type: "button", class: "tool", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
      shown.length ? h("ul", { class: "picks" }, shown) : empty);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(picked);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
