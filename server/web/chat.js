// Chat: ordered, reliable data channels labelled `chat`, one line of plain text a message.

const MAX_LINE = 16_384;
const MAX_LINES = 500;

/** One channel to one member. */
export class ChatChannel {
  onopen = null;
  ontext = null;
  #channel;

  constructor(channel) {
    this.#channel = channel;
    channel.onopen = () => this.onopen?.();
    // A channel that comes with `datachannel` may be open before anybody can listen.
    if (channel.readyState === 'open') queueMicrotask(() => this.onopen?.());
    channel.onmessage = ({ data }) => {
      if (typeof data === 'string' && data.length <= MAX_LINE) this.ontext?.(data);
    };
  }

  send(text) {
    if (this.#channel.readyState !== 'open') return false;
    this.#channel.send(text);
    return true;
  }
}

/** What was said, the newest last; the oldest go when it grows long. */
export class ChatLog extends EventTarget {
  lines = [];

  /** Splits `text` into lines and remembers those that say something. */
  add(from, text, own = false) {
    for (const line of tidy(text)) {
      const entry = Object.freeze({ from, text: line, own, at: Date.now() });
      this.lines.push(entry);
      if (this.lines.length > MAX_LINES) this.lines.shift();
      this.dispatchEvent(new CustomEvent('line', { detail: entry }));
    }
  }
}

/** The lines of `text` that are not empty, without surrounding white space. */
export function tidy(text) {
  return text.split(/\r\n|\r|\n/).map((line) => line.trim()).filter(Boolean);
}

/** `text` in pieces of `{text, href?}`: addresses on the web become links. */
export function pieces(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)]/g)) {
    if (match.index > end) found.push({ text: text.slice(end, match.index) });
    found.push({ text: match[0], href: match[0] });
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}
