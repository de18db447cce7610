// Finds the languages that lie in a folder: each file is one, named by its code (BCP 47).

import { readdir } from 'node:fs/promises';
import path from 'node:path';

async function codesIn(folder) {
  return (await readdir(folder)).map((file) => path.parse(file).name).sort();
}

/** Gives `import { languages } from 'languages:./folder'`: code -> what loads the file, which becomes a part of its own. */
export const languages = {
  name: 'languages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^languages:/ }, ({ path: name, resolveDir }) => {
      return { path: path.resolve(resolveDir, name.slice('languages:'.length)), namespace: 'languages' };
    });
    onLoad({ filter: /.*/, namespace: 'languages' }, async ({ path: folder }) => {
      const loaders = (await codesIn(folder)).map((code) => `${code}: () => import('./${code}'),`);
      // Without what objects inherit: a page may ask for any name.
      return { contents: `export const languages = { __proto__: null, ${loaders.join(' ')} };`, resolveDir: folder };
    });
  },
};
