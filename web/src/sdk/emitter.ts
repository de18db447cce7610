/** Listeners by the name of what they listen to. */

/** Name of an event -> what a listener of it is given. */
type EventMap<Events> = { [Name in keyof Events]: unknown[] };

export class Emitter<Events extends EventMap<Events>> {
  readonly #listeners: { [Name in keyof Events]?: Set<(...values: Events[Name]) => void> } = {};

  /** Call this listener each time from now on; the same one only once. */
  on<Name extends keyof Events>(name: Name, listener: (...values: Events[Name]) => void): this {
    (this.#listeners[name] ??= new Set()).add(listener);
    return this;
  }

  /** Call this listener no more. */
  off<Name extends keyof Events>(name: Name, listener: (...values: Events[Name]) => void): this {
    this.#listeners[name]?.delete(listener);
    return this;
  }

  /** Tell those who listen now, in the order in which they began; what one throws is reported and stops no other. */
  protected emit<Name extends keyof Events>(name: Name, ...values: Events[Name]): void {
    for (const listener of [...(this.#listeners[name] ?? [])]) {
      try {
        listener(...values);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
