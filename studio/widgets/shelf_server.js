// What the Data tab asks the server, and how files are found in what was dropped. Every refusal comes as an Error with the
// server's sentence. Knows nothing of the screen.

const COUNTING = new Intl.Collator(undefined, { numeric: true }); // part 2 before part 10
const PICTURE = /\.(png|jpe?g|tiff?|bmp|webp)$/i;

const ZIP = /\.zip$/i, LABELS = /\.(xml|json|mat|ya?ml)$/i, LIST = /(label|annot|meta|class|box|mask).*\.(txt|csv)$/i;
const MOST_LABELS = 3; // so many texts beside pictures are no notes, they are labels

async function asked(method, address, body, signal, more = {}) {
  const bare = body instanceof FormData || body instanceof Blob, json = body !== undefined && !bare;
  const headers = json ? { "Content-Type": "application/json" } : more;
  let answer = null;
  try { answer = await fetch(address, { method, headers, signal, body: json ? JSON.stringify(body) : body }); }
  catch (silent) { throw Object.assign(new Error(props.words.unreachable), { lost: true }); }
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error.message), { status: answer.status });
  return found;
}

function query(values) { return new URLSearchParams(values).toString(); }

const LAYOUT = /(^|\/)(ground_truth|masks?|labels?|annotations?|defective_masks|train|test|val|valid)\//i; // folders of a data set
const place = (file) => (file.place || file.webkitRelativePath || file.name).replace(/^\//, "");

// Of a folder only pictures are meant: what lies beside them (lists, thumbnails of the system) is counted, not sent. `set`: the folder
// is a data set, whose labels lie beside its pictures or are its folders; then `shown` is all of it.
function pictures_of(files) {
  const shown = files.filter((file) => !place(file).split("/").some((part) => part.startsWith("."))).sort((a, b) => COUNTING.compare(place(a), place(b)));
  const found = shown.filter((file) => PICTURE.test(file.name));
  const rest = shown.filter((file) => !PICTURE.test(file.name));
  const set = found.length > 0 && (found.some((file) => LAYOUT.test(place(file))) || rest.some((file) => LABELS.test(file.name) || LIST.test(place(file))) || rest.filter((file) => /\.(txt|csv)$/i.test(file.name)).length >= MOST_LABELS);
  return { found, left: rest.length, set, shown };
}

// The files of a drop, folders opened. The entries must be asked for before anything is awaited.
async function dropped_files(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { found: [...transfer.files], left: 0, set: false };
  const found = [], inside = [], waiting = entries.filter((entry) => entry.isDirectory);
  for (const entry of entries) if (entry.isFile) found.push(await file_of(entry));
  while (waiting.length) {
    const reader = waiting.shift().createReader();
    for (let some = await read(reader); some.length; some = await read(reader)) { // a hundred at a time
      for (const entry of some) if (entry.isDirectory) { if (!entry.name.startsWith(".")) waiting.push(entry); } else inside.push(await file_of(entry));
    }
  }
  const { found: more, left, set, shown } = pictures_of(inside);
  return { found: set ? found : [...found, ...more], left, set, shown };
}

function file_of(entry) { return new Promise((done, failed) => entry.file((file) => done(Object.assign(file, { place: entry.fullPath })), failed)); }
function read(reader) { return new Promise((done, failed) => reader.readEntries(done, failed)); }
