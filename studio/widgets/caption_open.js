// What the parts of the Caption tab share: where they are drawn, the project that is open, which of its pictures are meant.

const root = element.querySelector(".cap"), words = props.words, find = (selector) => root.querySelector(selector), all = (selector) => [...root.querySelectorAll(selector)];
const SIZE = 100, MEMORY = "flawsmith-caption";
const chosen = new Map(); // asset -> record, also of other pages
let project = null, records = [], first = 0, total = 0, counts = null; // counts: of the whole project, by class and tag
let filter = { text: "", defect: null, captioned: null, tag: "" };

function made(tag, more = {}, ...children) {
  const found = Object.assign(document.createElement(tag), more);
  found.append(...children);
  return found;
}

const refuse = (problem) => trigger("refuse", { sentence: problem.message });
const below = (path) => `/api/projects/${project.id}/${path}`;
const called = (defect) => defect || words.good_part;
const picture_of = (record, side) => `/files/${record.asset}/${encodeURIComponent(record.name)}?side=${side}`;
const one_line = (text) => text.split(/\s+/).filter(Boolean).join(" ");
const counted = (key, n) => fill(words[n === 1 ? `${key}_one` : key], { n: whole(n) });

// The filter as a route takes it, and as an address does.
function found() { return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null && value !== "")); }
function query(more = {}) { return new URLSearchParams({ ...found(), ...more }).toString(); }

// What a tool works on: the rows that are chosen, else all that the filter finds.
function meant() { return chosen.size ? { assets: [...chosen.keys()] } : found(); }
function how_many() { return chosen.size || total; }

function later(what, ms) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(what, ms); };
}

// What this browser remembers of the tab's form.
const held = { tool: "write", form: { captioners: ["attributes"], template: "{caption}", prompt: "", keywords: "", best_of: false, clips: [], write: "empty" }, template: "{caption}", templates: {}, hidden: "", ...recalled() };
function recalled() { try { return JSON.parse(localStorage.getItem("flawsmith-caption") || "{}"); } catch { return {}; } }
function keep() { try { localStorage.setItem(MEMORY, JSON.stringify(held)); } catch { /* a browser that keeps nothing forgets it at a refresh */ } }
