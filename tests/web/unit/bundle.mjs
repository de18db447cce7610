// Bundles a source for Node, by the plugins of the build: `node bundle.mjs SOURCE OUTPUT`.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const [source, outfile] = process.argv.slice(2);
const web = path.resolve(import.meta.dirname, '../../../web');
const { build } = createRequire(path.join(web, 'build.mjs'))('esbuild');
const { languages } = await import(pathToFileURL(path.join(web, 'languages.mjs')).href);
await build({ entryPoints: [source], outfile, bundle: true, platform: 'node', format: 'esm', plugins: [languages] });
