/** Elements from words: data goes in as text, never as markup. */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "tabIndex", "htmlFor", "open", "selected"]);

/** An HTML element; `on...` are listeners, `vars` CSS custom properties, all else attributes. */
export function h(tag, properties, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** An SVG element, in the same way. */
export function s(tag, properties, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** An icon of icons.svg, which says nothing by itself: the control that holds it is named. */
export function icon(name) {
  const use = s("use", { href: `${ICONS}#${name}` });
  return s("svg", { class: "icon", "aria-hidden": "true", viewBox: "0 0 24 24" }, use);
}
const ICONS = new URL("icons.svg", import.meta.url).pathname;

/** Put children in the place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...kept(children));
  return element;
}

/** A number as people write it. */
export function count(number) {
  return number.toLocaleString("en");
}

/** Bytes as people write them. */
export function bytes(size) {
  const unit = size < 1e3 ? 0 : size < 1e6 ? 1 : size < 1e9 ? 2 : 3;
  return `${(size / 1e3 ** unit).toFixed(unit && size / 1e3 ** unit < 10 ? 1 : 0)} ${["bytes", "kB", "MB", "GB"][unit]}`;
}

/** How long, in words: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min. */
export function lasting(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** When, of seconds since 1970: today's by the clock, others by the day. */
export function when(seconds) {
  const then = new Date(seconds * 1000);
  const today = then.toDateString() === new Date().toDateString();
  return today
    ? then.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })
    : then.toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

/** Tell a screen reader what changed, politely. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) set(element, name, value);
  element.append(...kept(children));
  return element;
}

function kept(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "vars") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
  else if (PROPERTIES.has(name)) element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}
