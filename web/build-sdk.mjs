// Builds the SDK: one module without imports, and beside it the two files that it starts on threads of their own.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const WEB = import.meta.dirname;
const SOURCE = path.join(WEB, 'src/sdk');

/** What all that is built here has in common. */
export const common = {
  absWorkingDir: WEB,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  metafile: true,
};

/**
 * Build caller.js into a folder, `builtFor` a `gateway`, which serves it to any page, or for a `package`. A gateway's
 * files beside it carry the hash of their content: an older caller.js must find its own or none.
 */
export async function buildSdk(output, builtFor) {
  const names = builtFor === 'gateway' ? '[name]-[hash]' : '[name]';
  const audio = await build({
    ...common,
    outdir: output,
    entryNames: names,
    entryPoints: ['worklets.ts', 'socket-worker.ts'].map((name) => path.join(SOURCE, 'audio', name)),
  });
  const [worklets, worker] = Object.keys(audio.metafile.outputs).map((file) => path.basename(file)).sort().reverse();
  await build({
    ...common,
    outfile: path.join(output, 'caller.js'),
    entryPoints: [path.join(SOURCE, 'index.ts')],
    define: {
      AUDIO_WORKLET_FILE: JSON.stringify(`./${worklets}`),
      SOCKET_WORKER_FILE: JSON.stringify(`./${worker}`),
      BUILT_FOR: JSON.stringify(builtFor),
    },
  });
  return { output, files: ['caller.js', worklets, worker] };
}

/** Say how much of the network each file takes. */
export async function sayWeight({ output, files }) {
  const sizes = await Promise.all(files.map(async (name) => gzipSync(await readFile(path.join(output, name)), { level: 9 }).length));
  const each = files.map((name, i) => `${name} ${(sizes[i] / 1024).toFixed(1)}`).join(', ');
  const total = sizes.reduce((sum, size) => sum + size, 0);
  console.log(`SDK, KB gzipped: ${each}; together ${(total / 1024).toFixed(1)}`);
}
