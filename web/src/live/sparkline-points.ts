/** Where the points of a line beside a figure lie. Pure. */

import type { Timeline } from './board';

/** Units of the drawing, which is stretched to its place. */
export const WIDTH = 600;
export const HEIGHT = 30;

/** Return the points of each unbroken line. */
export function pointsOf({ at, values }: Timeline, column: number): string[] {
  const known = values[column].filter((value) => value !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const [first, last] = [at[0], at.at(-1)!];
  const found: string[][] = [[]];
  values[column].forEach((value, which) => {
    if (value === null) return void found.push([]);
    const x = last > first ? ((at[which] - first) / (last - first)) * WIDTH : WIDTH;
    // What never changes lies in the middle.
    const y = most > least ? ((most - value) / (most - least)) * HEIGHT : HEIGHT / 2;
    found.at(-1)!.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  });
  return found.filter((points) => points.length > 1).map((points) => points.join(' '));
}
