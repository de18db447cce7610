// Builds the button for other pages: loader.js, which runs in them, and the frame with all that it loads.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { languages } from './languages.mjs';
import { tokens, withTokens } from './tokens.mjs';

/** Tokens put in where they are read, and one line, as a minifier of JavaScript leaves text alone. */
export const compactLoader = {
  name: 'compact-loader',
  setup({ onLoad }) {
    onLoad({ filter: /widget\/loader\.ts$/ }, async ({ path: file }) => {
      const text = await withTokens(await readFile(file, 'utf8'), { isLight: true });
      return { loader: 'ts', contents: text.replace(/const CSS = `[^`]*`/, (css) => css.replace(/\n\s*/g, '')) };
    });
  },
};

/** What is loaded later imports the frame as well: so all of it stays in one file, which compresses better, and which the page starts. */
const sharing = {
  name: 'sharing',
  setup({ onLoad }) {
    onLoad({ filter: /frame\/(closed|feedback)\.ts$/ }, async ({ path: file }) => {
      return { loader: 'ts', contents: `${await readFile(file, 'utf8')}\nimport './frame';` };
    });
  },
};

/**
 * Build with the page's own `bundle`, given what it put in for the files of the audio and the file of the icon; print
 * what a visitor loads to talk, and return the frame's style sheet.
 */
export async function buildWidget({ bundle, source, output, define, audio, icon }) {
  // Its name stays: it is what other pages refer to, and the gateway adds the version.
  await bundle(['widget/loader.ts'], { entryNames: '[name]', plugins: [compactLoader] });
  const { names: workers } = await bundle(['widget/frame/solver.ts']);
  const { names, outputs } = await bundle(['widget/frame/frame.ts', 'widget/frame/style.css'], {
    splitting: true,
    plugins: [languages, tokens, sharing],
    define: { ...define, SOLVER_FILE: JSON.stringify(`./${workers.solver}`) },
  });
  const [entry] = Object.entries(outputs).filter(([file]) => path.basename(file) === names.frame);
  const [shared] = entry[1].imports.filter(({ kind }) => kind === 'import-statement');
  const parts = { script: path.basename(shared.path), style: names.style, icon };
  const template = (await readFile(source('widget/frame.html'), 'utf8')).replace(/\n\s+/g, '\n');
  const html = template.replace(/\{(\w+)\}/g, (_, name) => parts[name]);
  await writeFile(path.join(output, 'frame.html'), html);
  await report(output, ['loader.js', 'frame.html', names.style, parts.script, workers.solver, ...audio]);
  return names.style;
}

/** Print the gzipped size of each file; words of a language besides English come in addition. */
async function report(output, files) {
  const contents = await Promise.all(files.map((file) => readFile(path.join(output, file))));
  const sizes = contents.map((content) => gzipSync(content, { level: 9 }).length);
  files.forEach((file, i) => console.log(`${String(sizes[i]).padStart(6)}  ${file}`));
  console.log(`${String(sizes.reduce((sum, size) => sum + size)).padStart(6)}  bytes, gzipped, for a visitor's call`);
}
