// Leaves out of uPlot what we do not use and a bundler cannot find: lines other than straight ones, scales other than
// linear ones, joins of tables, formatters. They are an eighth of the library.

import { readFile } from 'node:fs/promises';

/** What its main function only hands out, and what it asks of a scale: whether it is logarithmic, asinh or one's own. */
const HANDED_OUT = /^\t(?:\(paths\.(?:stepped|bars|spline) *= \w+\)|uPlot\.(?:join|fmtDate|tzDate|addGap|clipGaps) *= \w+);$/gm;
const ASKED = /\b(?:\w+\.)?distr +(?:== +(?:3|4|100)|>= 3)\b/g;

/** Another release may say these differently: then they would silently stay, or too much would go. */
const COUNTS = { handedOut: 8, asked: 24 };

/** Takes these away, so that the bundler finds that nothing uses what they lead to. */
export const lessOfUplot = {
  name: 'less-of-uplot',
  setup({ onLoad }) {
    onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8');
      const [handedOut, asked] = [HANDED_OUT, ASKED].map((pattern) => text.match(pattern)?.length ?? 0);
      if (handedOut !== COUNTS.handedOut || asked !== COUNTS.asked) {
        throw new Error(`Look at this release of uPlot: ${handedOut} and ${asked} places instead of ${Object.values(COUNTS)}.`);
      }
      return { contents: text.replace(HANDED_OUT, '').replace(ASKED, 'false'), loader: 'js' };
    });
  },
};
