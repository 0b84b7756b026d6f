// One row of pictures to paint on: those of the project, the open one marked, then the samples; a click names the one chosen.
// element, props, trigger and watch come from gr.HTML.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample], [data-asset]");
  if (button) trigger("pick", { sample: button.dataset.sample || "", asset: button.dataset.asset || "" });
});

function mark() {
  const row = element.querySelector(".smp-row");
  for (const button of element.querySelectorAll("[data-asset]")) {
    if (button.dataset.asset === props.value.open) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  }
  const open = element.querySelector("[aria-current]");
  if (open) row.scrollLeft = Math.max(0, open.offsetLeft - row.clientWidth / 2);
}
watch("value", () => requestAnimationFrame(mark));
mark();
