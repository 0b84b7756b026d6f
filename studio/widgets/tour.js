// The question mark in the header: the tour, and the sheet of all keys. The tour is tour_card.js, its steps tour_steps.js, what
// the empty canvas offers tour_first.js; the canvas's own keys come from its menus.js. element and props come from gr.HTML.

const root = element.querySelector(".tour"), find = (selector) => root.querySelector(selector);
const card = find(".tour-card"), light = find(".tour-light"), menu_of_help = find(".tour-menu"), keys = find(".tour-keys");
const go = (name) => card.querySelector(`[data-go=${name}]`);

find(".tour-open").popoverTargetElement = menu_of_help;
menu_of_help.addEventListener("beforetoggle", (event) => {
  const place = find(".tour-open").getBoundingClientRect();
  find(".tour-open").setAttribute("aria-expanded", event.newState === "open");
  menu_of_help.style.top = `${place.bottom + 6}px`;
  menu_of_help.style.right = `${Math.max(8, document.documentElement.clientWidth - place.right)}px`;
});
find("[data-help=tour]").onclick = () => { menu_of_help.hidePopover(); leave("left"); begin(find(".tour-open")); };
find("[data-help=keys]").onclick = () => { menu_of_help.hidePopover(); keys.showModal(); };
go("leave").onclick = () => leave("left");
go("back").onclick = () => turn(-1);
go("next").onclick = () => turn(1);
sheet(keys, props.canvas);
keys.querySelector(".mc-sheet").append(...props.keys.map(keys_of));
when_there(".mc-first", offer);
