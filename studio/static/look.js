// Light or dark, decided before anything is painted: what was chosen under Settings in this browser, else as the system
// has it. Gradio would follow the system or ?__theme= instead; it reads theme_mode once, when its own script begins.
(() => {
  const KEY = "flawsmith-look", system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem(KEY);
    } catch (refused) {
      return null; // a browser that keeps nothing follows the system
    }
  }

  function show() {
    const asked = chosen(), dark = asked === "dark" || (asked !== "light" && system.matches);
    for (const place of [document.documentElement, document.body]) place?.classList.toggle("dark", dark);
    document.querySelector("gradio-app")?.setAttribute("theme_mode", dark ? "dark" : "light");
  }

  show();
  document.addEventListener("readystatechange", show); // "interactive" comes before scripts of type module are run
  system.addEventListener("change", show);
  addEventListener("storage", (event) => event.key === KEY && show()); // chosen in another window
  addEventListener(KEY, show); // chosen in this one
})();
