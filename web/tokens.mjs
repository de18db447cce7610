// Gives style sheets what all our pages share, by `@import 'tokens'`: the file that the gateway serves to its own pages.

import { readFile } from 'node:fs/promises';
import path from 'node:path';

const FILE = path.resolve(import.meta.dirname, '../gateway/http/site/tokens.css');

/** The tokens as they are; a sheet that can be told its scheme by `data-theme` gets only those that it uses. */
export const tokens = {
  name: 'tokens',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tokens$/ }, ({ importer }) => {
      return { path: FILE, namespace: 'tokens', pluginData: importer, suffix: `?${path.basename(importer)}` };
    });
    onLoad({ filter: /.*/, namespace: 'tokens' }, async ({ pluginData: importer }) => {
      const [text, sheet] = await Promise.all([FILE, importer].map((file) => readFile(file, 'utf8')));
      // A minifier leaves the spaces of values alone.
      const css = text.replace(/(--[\w-]+:|,) +/g, '$1');
      const isThemed = importer.includes('widget');
      return { contents: isThemed ? themed(css, sheet) : css, loader: 'css', watchFiles: [FILE] };
    });
  },
};

function themed(css, sheet) {
  const [light, dark] = css.split('@media').map((scheme) => {
    const all = [...scheme.matchAll(/--([\w-]+):[^;]+;/g)];
    return all.filter(([, name]) => sheet.includes(`var(--${name})`)).map(([declaration]) => declaration).join('');
  });
  return `:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root:not([data-theme='light']){${dark}}}
:root[data-theme='light']{color-scheme:light}
:root[data-theme='dark']{color-scheme:dark;${dark}}`;
}
