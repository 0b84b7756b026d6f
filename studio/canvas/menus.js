// Small panels that open from a button, and the sheet of shortcuts. Knows the page's elements; nothing of masks.

const WIDEST_PX = 340, HIGHEST_PX = 330; // of the panels in canvas.css, with their distance from the window's edge

// A panel closes by itself: the browser does that for a popover, on Escape and on a press elsewhere.
function menu(button, panel, opening) {
  button.popoverTargetElement = panel;
  button.setAttribute("aria-haspopup", "true");
  button.setAttribute("aria-expanded", "false");
  panel.addEventListener("beforetoggle", (event) => {
    const open = event.newState === "open", place = button.getBoundingClientRect();
    button.setAttribute("aria-expanded", open);
    if (!open) return;
    opening();
    // Beside a button of the rail, above one of the foot; never beyond the window.
    if (panel.dataset.side === "right") Object.assign(panel.style, { left: `${place.right + 8}px`, top: `${Math.max(8, Math.min(place.top - 6, innerHeight - HIGHEST_PX))}px` });
    else Object.assign(panel.style, { left: `${Math.max(8, Math.min(place.left, innerWidth - WIDEST_PX))}px`, bottom: `${innerHeight - place.top + 6}px`, maxHeight: `${place.top - 14}px` });
    panel.querySelectorAll("[autofocus]").forEach((one) => { one.autofocus = false; });
    (panel.querySelector("[aria-pressed=true]") || panel.querySelector("button")).autofocus = true;
  });
  panel.addEventListener("keydown", (event) => {
    const buttons = [...panel.querySelectorAll("button:not(:disabled)")].filter((one) => one.offsetParent), here = buttons.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step || event.target.matches("input")) return;
    event.preventDefault();
    buttons[(here + step + buttons.length) % buttons.length].focus();
  });
}

// [[heading, [[keys, what they do], ...]], ...] as the sheet shows it.
function sheet(dialog, words) {
  const groups = [
    [words.tools, [["B", words.brush], ["E", words.eraser], ["L", words.line], ["R", words.rectangle], ["C", words.ellipse], ["P", words.polygon], ["F", words.lasso], ["D", words.defects], ["H", words.hand]]],
    [words.editing, [["[  ]", words.size], ["Ctrl Z", words.undo], ["Ctrl Y", words.redo], [".", words.grow], [",", words.shrink], ["I", words.invert], ["Delete", words.clear], ["N", words.more]]],
    [words.polygon_keys, [["Enter", words.close_loop], ["Backspace", words.corner_back], ["Esc", words.cancel], ["Shift", words.straight]]],
    [words.cross, [["↑  ↓  ←  →", words.cross_move], ["Shift ↑", words.cross_far], ["Enter", words.cross_press], ["Ctrl Enter", words.close_loop], ["Esc", words.cross_away]]],
    [words.looking, [...(words.next_map ? [["M", words.next_map]] : []), ["Space", words.hold_to_move], ["+  −", words.zoom], ["0", words.fit], ["1", words.actual], ["O", words.outline], ["?", words.help]]],
  ];
  const make = (name, text, ...inside) => { const one = document.createElement(name); one.append(...(text ? [text] : []), ...inside); return one; };
  const shown = groups.map(([heading, rows]) => make("section", "", make("h3", heading), make("dl", "", ...rows.flatMap(([keys, does]) => [
    make("dt", "", ...keys.split(" ").filter(Boolean).map((key) => make("kbd", key))), make("dd", does),
  ]))));
  dialog.querySelector(".mc-sheet").replaceChildren(...shown);
  dialog.querySelector("button").onclick = () => dialog.close();
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
