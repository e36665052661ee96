/** Where a person is, as the address says it after the #: #/model/NAME/TASK?from=ID. */

/** The parts and the query of an address. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

/** An address for a link. */
export function to(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Go there; the place that is left stays in the history. */
export function go(parts, query) {
  location.hash = to(parts, query);
}

/** Change the address alone: what is shown is already that. */
export function remember(parts, query) {
  history.replaceState(null, "", to(parts, query));
}
