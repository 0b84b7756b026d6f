// A row of sample pictures; a click names the one chosen. element and trigger come from gr.HTML.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample]");
  if (button) trigger("pick", { sample: button.dataset.sample });
});
