// Gives our bundles what all our pages share: the file that the gateway serves to its own pages. What differs between the
// schemes stays a custom property, by `@import 'tokens'`; the value of all else is put in where it is used.

import { readFile } from 'node:fs/promises';
import path from 'node:path';

const FILE = path.resolve(import.meta.dirname, '../gateway/http/site/tokens.css');

/** What a minifier of style sheets leaves alone in custom properties, and one of scripts everywhere. */
function short(value) {
  return value.replace(/, +/g, ',').replace(/#(\w)\1(\w)\2(\w)\3\b/g, '#$1$2$3');
}

/** Return name -> value of the light scheme, and of the dark one what differs. */
async function read() {
  const [light, dark] = (await readFile(FILE, 'utf8')).split('@media').map((scheme) => {
    const found = scheme.matchAll(/--([\w-]+):\s*([^;]+);/g);
    return new Map(Array.from(found, ([, name, value]) => [name, short(value)]));
  });
  return { light, dark };
}

/** Put in the values of what is the same in both schemes, or, for what has only one, all of them. */
export async function withTokens(css, { isLight = false } = {}) {
  const { light, dark } = await read();
  return css.replace(/var\(--([\w-]+)\)/g, (use, name) => (isLight || !dark.has(name) ? light.get(name) : undefined) ?? use);
}

/** Return the colours of the light scheme. */
export async function lightTokens() {
  return Object.fromEntries((await read()).light);
}

/** Style sheets; one that can be told its scheme by `data-theme` gets only the tokens that it uses. */
export const tokens = {
  name: 'tokens',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tokens$/ }, ({ importer }) => {
      return { path: FILE, namespace: 'tokens', pluginData: importer, suffix: `?${path.basename(importer)}` };
    });
    onLoad({ filter: /.*/, namespace: 'tokens' }, async ({ pluginData: importer }) => {
      const sheet = await readFile(importer, 'utf8');
      const contents = importer.includes('widget') ? await themed(sheet) : await schemes();
      return { contents, loader: 'css', watchFiles: [FILE] };
    });
    onLoad({ filter: /\.css$/ }, async ({ path: file }) => {
      return { contents: await withTokens(await readFile(file, 'utf8')), loader: 'css', watchFiles: [FILE] };
    });
  },
};

/** Return the declarations of what differs between the schemes, if it is wanted. */
async function declared(isWanted = () => true) {
  const { light, dark } = await read();
  const names = [...dark.keys()].filter(isWanted);
  return [light, dark].map((scheme) => names.map((name) => `--${name}:${scheme.get(name)};`).join(''));
}

async function schemes() {
  const [light, dark] = await declared();
  return `:root{color-scheme:light dark;${light}}@media (prefers-color-scheme:dark){:root{${dark}}}`;
}

async function themed(sheet) {
  const [light, dark] = await declared((name) => sheet.includes(`var(--${name})`));
  return `:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme: dark){:root:not([data-theme='light']){${dark}}}
:root[data-theme='light']{color-scheme:light}
:root[data-theme='dark']{color-scheme:dark;${dark}}`;
}
