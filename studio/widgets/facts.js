// The facts of one picture, and its request to copy. Shows what the server said; texts go in as text, never as HTML.
// element, props and watch come from gr.HTML, copied from clipboard.js.
const root = element.querySelector(".fct"), find = (selector) => root.querySelector(selector);

function part(tag, text) { const made = document.createElement(tag); made.textContent = text; return made; }

function load() {
  const value = props.value || {};
  root.dataset.empty = value.id ? "" : "1";
  root.dataset.id = value.id || "";
  root.dataset.verdict = value.verdict || "";
  if (!value.id) return;
  find("strong").textContent = find("strong").title = value.title;
  find(".fct-verdict").textContent = props.words[value.verdict || "undecided"];
  find(".fct-scores").replaceChildren(...value.scores.map((score) => {
    const line = part("span", score.text);
    line.dataset.tone = score.tone;
    line.title = score.help;
    line.append(part("small", score.name));
    return line;
  }));
  find("dl").replaceChildren(...value.lines.flatMap((line) => { const text = part("dd", line.text); text.title = line.text; return [part("dt", line.name), text]; }));
  find("a").href = value.file;
}

find("button").addEventListener("click", () => copied(find("button"), JSON.stringify(props.value.request, null, 2), props.words.copy, props.words.copied));

watch("value", load);
load();
