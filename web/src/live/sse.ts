/** Server-Sent Events (WHATWG HTML, 9.2.6) out of bytes, however they are split. Pure. */

/** One event of the stream. */
export interface StreamEvent {
  /** The last id that the stream has told, with this event or before it; empty before the first. */
  id: string;
  type: string;
  data: string;
}

/** Characters of one event: ten times what five thousand calls take. Beyond, the stream is not one of ours. */
const EVENT_CHARACTERS_MAX = 32 * 1024 * 1024;

const LINE_END = /\r\n|\r|\n/g;

/** Takes the bytes of one response in order. */
export class StreamParser {
  // The decoder takes the byte order mark away, which 9.2.6 allows at the beginning.
  readonly #decoder = new TextDecoder();
  /** What the line under way has so far; joined once it ends, so that a long one is copied only once. */
  #line: string[] = [];
  #characters = 0;
  #afterReturn = false;
  #id: string;
  #type = '';
  #data: string[] = [];

  /** `id` is the last one of the response before, which this one goes on from. */
  constructor(id = '') {
    this.#id = id;
  }

  /** Return the events that these bytes complete. Throws RangeError for one beyond all bounds. */
  push(bytes: Uint8Array): StreamEvent[] {
    let text = this.#decoder.decode(bytes, { stream: true });
    // The two characters of one line end came apart.
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    else if (!text) return [];
    this.#afterReturn = text ? text.endsWith('\r') : false;
    const events: StreamEvent[] = [];
    let begin = 0;
    for (const { 0: end, index } of text.matchAll(LINE_END)) {
      this.#hold(text.slice(begin, index));
      begin = index + end.length;
      const line = this.#line.join('');
      this.#line = [];
      const event = this.#take(line);
      if (event) events.push(event);
    }
    this.#hold(text.slice(begin));
    return events;
  }

  #hold(part: string): void {
    if (!part) return;
    this.#characters += part.length;
    if (this.#characters > EVENT_CHARACTERS_MAX) throw new RangeError('An event is too long.');
    this.#line.push(part);
  }

  #take(line: string): StreamEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    const [type, data] = [this.#type || 'message', this.#data];
    this.#type = '';
    this.#data = [];
    this.#characters = 0;
    return data.length ? { id: this.#id, type, data: data.join('\n') } : undefined;
  }
}
