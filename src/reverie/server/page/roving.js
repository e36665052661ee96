/** Arrow keys among many of a kind: one of them is a tab stop, the arrows go on from there. */

/** Give a list of what `selector` finds one tab stop; Home, End and the arrows move it, by rows where they lie in rows. */
export function roving(list, selector) {
  const all = () => [...list.querySelectorAll(selector)];
  const aim = (one) => {
    for (const other of all()) other.tabIndex = other === one ? 0 : -1;
  };
  const columns = (found) => {
    const top = found[0].getBoundingClientRect().top;
    return Math.max(found.findIndex((one) => one.getBoundingClientRect().top > top + 4), 0) || found.length;
  };
  list.addEventListener("focusin", (event) => {
    const one = event.target.closest(selector);
    if (one) aim(one);
  });
  list.addEventListener("keydown", (event) => {
    const found = all();
    const at = found.indexOf(event.target.closest(selector));
    const wide = at < 0 ? 1 : columns(found);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide, Home: 0, End: found.length - 1 }[event.key];
    if (at < 0 || next === undefined || !found[next]) return;
    event.preventDefault();
    found[next].focus();
  });
  aim(all()[0]);
  return list;
}
