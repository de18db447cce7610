/** The number that was written before somebody went away to pay. It goes with the tab, where storage is not blocked. */

const NUMBER = 'caller-number';

/** Keep the number for the page that comes back from paying; an empty one keeps nothing. */
export function keepNumber(number: string): void {
  try {
    if (number) sessionStorage.setItem(NUMBER, number);
    else sessionStorage.removeItem(NUMBER);
  } catch {
    // Storage is blocked.
  }
}

/** Return the number that was kept, once. */
export function takeNumber(): string {
  try {
    const number = sessionStorage.getItem(NUMBER) ?? '';
    sessionStorage.removeItem(NUMBER);
    return number;
  } catch {
    return '';
  }
}
