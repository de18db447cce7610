// Leaves out of uPlot what we do not use and a bundler cannot find: lines other than straight ones, scales other than
// linear ones, areas and bands, selections, hooks, joins of tables. They are a third of the library.

import { readFile } from 'node:fs/promises';

/**
 * What to replace, with what, and how often it is there: another release may say it differently, and then it would
 * silently stay, or too much would go. Whatever is decided here, the bundler takes away what nothing leads to.
 */
const CUTS = [
  // What its main function only hands out.
  [/^\t(?:\(paths\.(?:stepped|bars|spline) *= \w+\)|uPlot\.(?:join|fmtDate|tzDate|addGap|clipGaps) *= \w+);$/gm, '', 8],
  // A scale that is logarithmic, asinh or one's own; all of ours are linear, and times run from left to right in seconds.
  [/\b(?:\w+\.)?distr +(?:== +(?:3|4|100)|>= 3)\b/g, 'false', 24],
  [/\bscaleX\.ori == 0\b/g, 'true', 24],
  [/\bscaleX\.ori == 1\b/g, 'false', 9],
  [/\bms == 1\b/g, 'false', 5],
  // Tables in which each line has times of its own, and legends with more than one value a line.
  [/\bmode == 2\b/g, 'false', 16],
  [/\bmode == 1\b/g, 'true', 16],
  [/\bmultiValLegend\b(?! =)/g, 'false', 6],
  // The line that is next to the pointer stands out; a part of the time is chosen with the pointer.
  [/\bcursor(?:Focus|OnePt)\b(?! =)/g, 'false', 12],
  [/\b(?:select\.show|_?dragging)\b(?! =)/g, 'false', 13],
  // Areas under a line and between two.
  [/^\t+let \[ bandFillDir, bandClipDir \] = .*$/gm, '', 3],
  [/\b(?:bandClipDir != 0|series\.fill != null \|\| bandFillDir != 0)/g, 'false', 6],
  [/\bflags != 0(?= && bands)|(?<=if \()bandClip(?=\))/g, 'false', 2],
  // Plug-ins.
  [/^\t\(opts\.plugins \|\| \[\]\)\.forEach\(.*$[^]*?^\t\}\);$/gm, '', 2],
];

/** Functions that are never called so, or whose effect is not wanted. */
const IDLE = [
  ...['points', 'fire', 'flushHooks', 'mouseDown', 'mouseUp', 'dblClick', 'setFocus', 'setAlpha', 'setSelect', 'hideSelect'],
  ...['addSeries', 'delSeries', 'addBand', 'setBand', 'delBand', 'seriesFillTo', 'bandFillClipDirs', 'clipBandLine'],
];

const BODIES = new RegExp(`^(\\t*)(function (?:${IDLE.join('|')})\\([^)]*\\)) \\{$[^]*?^\\1\\}$`, 'gm');

/** Takes these away, so that the bundler finds that nothing uses what they lead to. */
export const lessOfUplot = {
  name: 'less-of-uplot',
  setup({ onLoad }) {
    onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path: file }) => {
      let contents = await readFile(file, 'utf8');
      for (const [pattern, replacement, count] of [...CUTS, [BODIES, '$1$2 {}', IDLE.length]]) {
        const found = contents.match(pattern)?.length ?? 0;
        if (found !== count) throw new Error(`Look at this release of uPlot: ${found} places of ${pattern} instead of ${count}.`);
        contents = contents.replace(pattern, replacement);
      }
      return { contents, loader: 'js' };
    });
  },
};
