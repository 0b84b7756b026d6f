// What the Train tab asks the server. Every refusal comes as an Error with the server's sentence. Knows nothing of the screen.

const OVER = ["done", "failed", "cancelled", "quarantined"];

async function asked(method, address, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  let answer = null;
  try { answer = await fetch(address, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }); }
  catch (silent) { throw Object.assign(new Error(props.words.unreachable), { lost: true }); }
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error.message), { status: answer.status });
  return found;
}

const tongue = `language=${encodeURIComponent(props.language)}`;
function fill(text, values) { return text.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? values[name] : hole)); }
function whole(value) { return Number(value).toLocaleString(props.language); }
function gib(bytes) { return `${(bytes / 2 ** 30).toLocaleString(props.language, { maximumFractionDigits: 1, minimumFractionDigits: 1 })} GiB`; }
function pause(ms) { return new Promise((done) => { setTimeout(done, ms); }); }

// 40 s, 12 min, 3 h 20 min.
function span_of(seconds) {
  const { words } = props, minutes = Math.round(seconds / 60);
  if (minutes < 2) return fill(words.seconds, { s: Math.max(1, Math.round(seconds)) });
  return minutes < 60 ? fill(words.minutes, { m: minutes }) : fill(words.hours, { h: Math.floor(minutes / 60), m: minutes % 60 });
}
