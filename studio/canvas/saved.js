// What is painted on each picture and is no run yet, kept as text: in this tab, for a refresh and for the way back to a picture,
// and where the canvas was given an address for it, on the server too. Knows nothing of strokes or of the screen.

const KEPT = "flawsmith-strokes";
const MOST_KEPT = 24, SEND_MS = 1500, ASK_MS = 4000, MOST_AT_LAST = 60000; // a page that closes may send 64 KB

class Saved {
  // warn: called once when the server cannot keep it; painting goes on. own: tells the memory of one canvas from another's.
  constructor(warn, own = "") { Object.assign(this, { warn, own, sent: new Map(), waiting: null, sending: Promise.resolve() }); }

  // The text kept for a picture, or null. `home` is the address below which the server keeps it, "" for none.
  async recall(home, asset) {
    const text = sessionStorage.getItem(this.key_of(home, asset));
    if (text || !home) return text;
    try {
      const answer = await fetch(`${home}/${asset}`, { signal: AbortSignal.timeout(ASK_MS) });
      if (answer.status === 404) return null;
      if (!answer.ok) throw new Error(answer.statusText);
      const found = await answer.text();
      this.sent.set(`${home}/${asset}`, found);
      return found === "null" ? null : found;
    } catch (silent) { this.fail(); return null; }
  }

  // painted: whether there is any stroke; a server forgets a picture that has none.
  keep(home, asset, text, painted) {
    this.keep_here(this.key_of(home, asset), text);
    if (!home) return;
    const address = `${home}/${asset}`, body = painted ? text : "null";
    if ((this.sent.get(address) || "null") === body) return;
    if (this.waiting && this.waiting.address !== address) this.send();
    this.sent.set(address, body);
    this.waiting = { address, body };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), SEND_MS);
  }

  // A full store loses the pictures that were painted longest ago, at last this one.
  keep_here(key, text) {
    const order = JSON.parse(sessionStorage.getItem(KEPT) || "[]").filter((one) => one !== key).concat(key);
    while (order.length > MOST_KEPT) sessionStorage.removeItem(order.shift());
    while (order.length) {
      try { sessionStorage.setItem(key, text); break; } catch (full) { sessionStorage.removeItem(order.shift()); }
    }
    sessionStorage.setItem(KEPT, JSON.stringify(order));
  }

  // What waits goes out, one after the other; `last` when the page closes.
  send(last = false) {
    const waiting = this.waiting;
    if (!waiting) return;
    clearTimeout(this.timer);
    this.waiting = null;
    const order = { method: "PUT", headers: { "Content-Type": "application/json" }, body: waiting.body };
    const put = async () => {
      try {
        const answer = await fetch(waiting.address, { ...order, keepalive: last && waiting.body.length < MOST_AT_LAST });
        if (!answer.ok) throw new Error(answer.statusText);
      } catch (silent) { this.sent.delete(waiting.address); this.fail(); }
    };
    this.sending = last ? put() : this.sending.then(put);
  }

  key_of(home, asset) { return `${KEPT}${this.own} ${home} ${asset}`; }

  fail() {
    if (this.failed) return;
    this.failed = true;
    this.warn();
  }
}
