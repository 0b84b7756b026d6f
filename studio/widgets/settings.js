// Settings: the language's address, light or dark, and what the server says of folders, health and licences. Decides
// nothing itself: studio/static/look.js turns the page dark, studio/tongues.py reads the cookie.
// element, props, trigger and watch come from gr.HTML, copied from clipboard.js. Texts go in as text, never as HTML.
const root = element.querySelector(".set"), find = (selector) => root.querySelector(selector);
const words = props.words, LOOK = "flawsmith-look", YEAR_S = 31536000;

function part(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

// A link, not a control that acts when it is chosen: whoever walks over it with the arrow keys stays on the page.
find(".set-languages").replaceChildren(...props.languages.map((one) => {
  const link = part("a", "", one.name);
  Object.assign(link, { href: one.href, lang: one.code, hreflang: one.code });
  if (one.code === props.language) link.setAttribute("aria-current", "page");
  link.addEventListener("click", () => { document.cookie = `${props.cookie}=${one.code}; path=/; max-age=${YEAR_S}; samesite=lax`; });
  return link;
}));

function kept() {
  try { return localStorage.getItem(LOOK); } catch (refused) { return null; }
}

function looks() {
  const asked = kept();
  for (const input of root.querySelectorAll(".set-looks input")) input.checked = input.value === (asked || "system");
}

find(".set-looks").addEventListener("change", (event) => {
  if (event.target.value === "system") localStorage.removeItem(LOOK);
  else localStorage.setItem(LOOK, event.target.value);
  window.dispatchEvent(new Event(LOOK));
});
window.addEventListener("storage", looks);
looks();

function folder(one) {
  const made = part("div", "set-folder"), path = part("details");
  const summary = part("summary", "", one.short);
  summary.title = words.whole;
  path.append(summary, part("code", "", one.full));
  made.append(part("h3", "", one.name), part("span", "set-size", one.size), part("p", "", one.why), path);
  if (one.flag) {
    const how = part("p", "set-how", `${words.change} `);
    how.append(part("code", "", one.flag));
    made.append(how);
  }
  return made;
}

function finding(one) {
  const made = part("li"), line = part("div", "set-line");
  made.dataset.level = one.level;
  line.append(part("strong", "", one.name), part("span", "set-level", words[`level_${one.level}`]));
  made.append(line, part("p", "", one.text));
  if (one.remedy) {
    const remedy = part("div", "set-remedy"), button = part("button", "", words.copy);
    button.type = "button";
    button.setAttribute("aria-label", `${words.copy_remedy}: ${one.remedy}`);
    button.addEventListener("click", () => copied(button, one.remedy, words.copy, words.copied));
    remedy.append(part("code", "", one.remedy), button);
    made.append(remedy);
  }
  return made;
}

function show() {
  const value = props.value || {};
  if (value.folders) {
    const some = value.folders.map(folder);
    if (value.folders.every((one) => one.kind !== "data")) some.push(part("p", "", words.data_none));
    find(".set-folders").replaceChildren(...some);
    find(".set-folders").removeAttribute("aria-busy");
  }
  if ("doctor" in value) {
    const doctor = value.doctor || { said: words.unwell, findings: [], report: "" };
    find(".set-examine").disabled = false;
    find(".set-said").textContent = doctor.said;
    find(".set-findings").replaceChildren(...doctor.findings.map(finding));
    find(".set-all").hidden = !doctor.report;
    find(".set-all").onclick = () => copied(find(".set-all"), doctor.report, words.copy_all, words.copied);
  }
}

find(".set-examine").addEventListener("click", () => {
  find(".set-examine").disabled = true;
  find(".set-said").textContent = words.examining;
  trigger("examine");
});

find(".set-version").textContent = props.about.version;
find(".set-packages").replaceChildren(...props.about.packages.flatMap((one) => [part("dt", "", `${one.name} ${one.version}`), part("dd", "", one.licence)]));

watch("value", show);
show();

// The folders are measured when somebody looks, not when the page opens.
new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) trigger("look"); }).observe(root);
