// Before anything is drawn, so that nothing flashes: the colours a person chose last.
(() => {
  let theme = "system";
  try {
    theme = localStorage.getItem("reverie-theme") ?? "system";
  } catch {
    // a browser that keeps nothing follows the system
  }
  document.documentElement.dataset.theme = theme;
})();
