// The sheet of keys beyond the canvas: [heading, [[keys, what they do], ...]] as one section of it.

function keys_of([heading, rows]) {
  const made = (name, ...inside) => { const one = document.createElement(name); one.append(...inside); return one; };
  const caps = (keys) => made("dt", ...keys.split(" ").filter(Boolean).map((key) => made("kbd", key)));
  return made("section", made("h3", heading), made("dl", ...rows.flatMap(([keys, does]) => [caps(keys), made("dd", does)])));
}
