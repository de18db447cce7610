// Finds the words of all languages: each folder of them is a language, named by its code (BCP 47), and holds them part by part.

import { access, readdir } from 'node:fs/promises';
import path from 'node:path';

/** Return the codes of the languages that have this part. */
async function codesWith(folder, part) {
  const found = await readdir(folder, { withFileTypes: true });
  const codes = found.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const has = await Promise.all(codes.map((code) => access(path.join(folder, code, `${part}.ts`)).then(() => true, () => false)));
  return codes.filter((_, i) => has[i]).sort();
}

// Gives, for a part of the words, code -> what loads it, which becomes a file of its own, named by the language:
// `import { languages } from 'languages:./words/*/phone'`. By `all-languages:`, code -> the words themselves.
export const languages = {
  name: 'languages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(all-)?languages:/ }, ({ path: name, resolveDir }) => {
      const [namespace, glob] = name.split(':');
      return { path: path.resolve(resolveDir, glob), namespace };
    });
    onLoad({ filter: /.*/, namespace: 'languages' }, async ({ path: glob }) => {
      const [folder, part] = glob.split('/*/');
      const loaders = (await codesWith(folder, part)).map((code) => `${code}: () => import('language:${part}/${code}'),`);
      // Without what objects inherit: a page may ask for any name.
      return { contents: `export const languages = { __proto__: null, ${loaders.join(' ')} };`, pluginData: folder };
    });
    onResolve({ filter: /^language:/ }, ({ path: name, pluginData: folder }) => {
      return { path: name.slice('language:'.length), namespace: 'language', pluginData: folder };
    });
    onLoad({ filter: /.*/, namespace: 'language' }, ({ path: name, pluginData: folder }) => {
      const [part, code] = name.split('/');
      return { contents: `export { words } from './${code}/${part}';`, resolveDir: folder };
    });
    onLoad({ filter: /.*/, namespace: 'all-languages' }, async ({ path: glob }) => {
      const [folder, part] = glob.split('/*/');
      const codes = await codesWith(folder, part);
      const imports = codes.map((code) => `import { words as ${code} } from './${code}/${part}';`);
      return { contents: `${imports.join('\n')}\nexport const languages = { __proto__: null, ${codes.join(', ')} };`, resolveDir: folder };
    });
  },
};
