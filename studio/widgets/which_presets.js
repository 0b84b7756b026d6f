// A person's own presets: naming, renaming, deleting, and taking each of these back. What is asked goes to the server, which
// answers with the menu as it is then. Knows the dialog; what a preset holds comes from which.js.

const dialog = root.querySelector(".wh-dialog"), form = dialog.querySelector("form"), said = root.querySelector(".wh-said");
const { name: name_box, product: product_box } = form.elements;
let answer = () => {};

form.addEventListener("submit", () => answer(name_box.value.trim(), product_box.value.trim()));
dialog.querySelector("[value=no]").onclick = () => dialog.close();

function ask_name(title, label, product, products, then) {
  dialog.querySelector("h2").textContent = title;
  name_box.value = label;
  dialog.querySelector(".wh-product").hidden = product === null;
  product_box.disabled = product === null;
  product_box.value = product ?? "";
  dialog.querySelector("datalist").replaceChildren(...products.map((one) => made("option", { value: one.label })));
  answer = then;
  dialog.showModal();
  name_box.select();
}

// {sentence, undo} stays until something else happens to a preset.
function tell_preset(done) {
  said.hidden = !done;
  if (!done) return;
  said.querySelector("span").textContent = done.sentence;
  const undo = said.querySelector("button");
  undo.onclick = () => { said.hidden = true; trigger("preset", done.undo); };
}
