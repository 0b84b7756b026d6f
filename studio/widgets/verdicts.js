// Verdicts on their way to the server. Two events sent in one breath may arrive the wrong way round: what is said about a
// picture within a moment goes as one. `send` is given {changes: {picture: verdict}}.
class Verdicts {
  static WAIT_MS = 100;

  constructor(send) {
    this.send = send;
    this.unsent = new Map();
    this.waiting = 0;
    addEventListener("pagehide", () => this.flush());
  }

  say(id, verdict) {
    this.unsent.set(id, verdict);
    this.waiting = this.waiting || setTimeout(() => this.flush(), Verdicts.WAIT_MS);
  }

  flush() {
    clearTimeout(this.waiting);
    this.waiting = 0;
    if (this.unsent.size) this.send({ changes: Object.fromEntries(this.unsent) });
    this.unsent.clear();
  }
}
