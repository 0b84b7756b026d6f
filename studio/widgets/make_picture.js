// The picture that Generate starts from: a file, a sample, one of the project's pictures or all of them. Shares the names of make.js.

const MOST_BYTES = 256 * 2 ** 20;

function take_picture({ asset, name, thumb }) {
  Object.assign(held.fields, { image: asset, images: [] });
  held.shown = { ...held.shown, name, thumb, count: 1 };
}

function no_picture() {
  Object.assign(held.fields, { image: null, images: [] });
  for (const name of ["name", "thumb", "count"]) delete held.shown[name];
}

function draw_picture() {
  const { image, images } = held.fields, some = Boolean(image || images.length), chip = find("#make-image"), picture = chip.querySelector("img");
  chip.hidden = !some;
  find(".mk-drop").hidden = some;
  chip.querySelector("span").textContent = held.shown.name || image || "";
  if (held.shown.thumb) picture.src = held.shown.thumb; else picture.removeAttribute("src");
  draw_browse();
}

// One of our own pictures made of words brings its form back; any other is the picture to start from.
async function upload(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) { trigger("refuse", { sentence: words.too_large.replace("%", file.name) }); return; }
  const form = new FormData();
  form.append("file", file, file.name);
  try {
    const answer = await fetch("/api/uploads", { method: "POST", body: form }), body = await answer.json();
    if (!answer.ok) throw new Error(body.error.message);
    if (body.request) { trigger("restore", { asset: body.asset }); return; }
    take_picture({ asset: body.asset, name: body.name, thumb: `/files/${body.asset}/${encodeURIComponent(body.name)}?side=256` });
    changed();
  } catch (problem) { trigger("refuse", { sentence: problem instanceof TypeError ? words.unreachable : problem.message }); }
}

root.querySelector("#make-file").onchange = (event) => { const [file] = event.target.files; event.target.value = ""; upload(file); };

// Anywhere on the tab: a picture that misses the small field would else replace the page.
const tab = root.closest(".tabitem") || root;
tab.addEventListener("dragover", (event) => { if (root.dataset.state === "ready") { event.preventDefault(); find(".mk-picture").classList.add("over"); } });
for (const name of ["dragleave", "drop"]) tab.addEventListener(name, () => find(".mk-picture").classList.remove("over"));
tab.addEventListener("drop", (event) => { if (root.dataset.state === "ready" && event.dataTransfer.files.length) { event.preventDefault(); upload(event.dataTransfer.files[0]); } });

function browse() {
  const box = find(".mk-browse");
  box.hidden = !box.hidden;
  find("[data-act=browse]").setAttribute("aria-expanded", !box.hidden);
  draw_browse();
  if (!box.hidden) box.querySelector("button")?.focus();
}

function draw_browse() {
  const box = find(".mk-browse"), { project = {} } = props.menu, key = JSON.stringify([project.project, project.items, project.total]);
  if (box.hidden || box.dataset.of === key) return;
  box.dataset.of = key;
  const tile = (title, thumb, take) => {
    const button = made("button", { type: "button", title, ariaLabel: title, onclick: () => { take(); browse(); changed(); } });
    button.append(made("img", { alt: "", src: thumb, loading: "lazy" }));
    return button;
  };
  const own = (project.items || []).map((one) => tile(one.title, one.thumb, () => take_picture({ asset: one.asset, name: one.title, thumb: one.thumb })));
  if (project.total > 1) own.unshift(made("button", { type: "button", className: "mk-whole", onclick: () => { take_all(project); browse(); changed(); } }, words.whole_project.replace("%", project.total.toLocaleString(props.language))));
  if (own.length) own.unshift(made("p", {}, words.project));
  const samples = props.samples.map((one) => tile(one.title, one.thumb, () => trigger("sample", { id: one.id })));
  box.replaceChildren(...own, made("p", {}, words.samples), ...samples);
}

function take_all(project) {
  Object.assign(held.fields, { image: null, images: [project.project] });
  held.shown = { ...held.shown, name: words.pictures_of.replace("%1", project.total.toLocaleString(props.language)).replace("%2", () => project.name), count: project.total };
  delete held.shown.thumb;
}
