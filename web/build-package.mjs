// Builds the SDK as an npm package into dist/sdk, with its types. Publishes nothing.

import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildSdk, sayWeight } from './build-sdk.mjs';

const WEB = import.meta.dirname;
const OUTPUT = path.resolve(WEB, process.env.CALLER_SDK_OUTPUT ?? 'dist/sdk');
const VERSION = /^version = "(.+)"$/m;

/** Write the types; Node and its like want the whole name of what is imported (TypeScript: nodenext). */
async function writeTypes(folder) {
  const compiler = path.join(WEB, 'node_modules/typescript/bin/tsc');
  await promisify(execFile)(process.execPath, [compiler, '--project', path.join(WEB, 'src/sdk'), '--outDir', folder]);
  for (const name of await readdir(folder, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = path.join(folder, name);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/(from|import\()\s*'(\.[^']*)'/g, (_, verb, target) => `${verb} '${target}.js'`));
  }
}

await rm(OUTPUT, { recursive: true, force: true });
await mkdir(OUTPUT, { recursive: true });
const built = await buildSdk(OUTPUT, 'package');
await writeTypes(path.join(OUTPUT, 'types'));

const [, version] = VERSION.exec(await readFile(path.join(WEB, '../pyproject.toml'), 'utf8'));
const described = JSON.parse(await readFile(path.join(WEB, 'src/sdk/package.json'), 'utf8'));
await writeFile(path.join(OUTPUT, 'package.json'), `${JSON.stringify({ ...described, version }, null, 2)}\n`);
await copyFile(path.join(WEB, 'src/sdk/README.md'), path.join(OUTPUT, 'README.md'));
await copyFile(path.join(WEB, '../LICENSE'), path.join(OUTPUT, 'LICENSE'));
await sayWeight(built);
