/** The number that waits while somebody is away to pay, or to sign in. It goes with the tab, where storage is not blocked. */

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

/** Whether a number waits. */
export function hasNumber(): boolean {
  return read() !== '';
}

/** Return the number that was kept, once. */
export function takeNumber(): string {
  const number = read();
  keepNumber('');
  return number;
}

function read(): string {
  try {
    return sessionStorage.getItem(NUMBER) ?? '';
  } catch {
    return '';
  }
}
