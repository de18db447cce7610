// Builds the page into gateway/http/static/: hashed names, so that browsers may keep every file for ever.
//
// Worklets and worker are files of their own, for the strict Content-Security-Policy refuses blob: and data:.

import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { buildIcons } from './build-icons.mjs';
import { buildSdk, common, sayWeight } from './build-sdk.mjs';
import { buildWidget } from './build-widget.mjs';
import { languages } from './languages.mjs';
import { lightTokens, tokens, withTokens } from './tokens.mjs';

const WEB = import.meta.dirname;
const OUTPUT = path.resolve(WEB, process.env.CALLER_WEB_OUTPUT ?? '../gateway/http/static');
const source = (name) => path.join(WEB, 'src', name);
/** The one of all pages, those that the gateway writes as well. */
const ICON = '../../gateway/http/site/icon.svg';

const hashed = {
  ...common,
  outdir: OUTPUT,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
};

/** Parts that the page imports when they are wanted. */
const LATER = ['feedback', 'key-form', 'key-offer', 'line-check', 'paying', 'return-call', 'sound-settings'];

/**
 * Puts in the tokens, and takes the indentation out of css`…` and html`…` templates, which a minifier of JavaScript must
 * leave alone. What is loaded later imports what stands beside the phone as well, and that the app; one call, the door, what
 * operators see, their reports and supervision import the live page: so all that they share stays in one file each, which compresses better than five.
 */
const compactTemplates = {
  name: 'compact-templates',
  setup({ onLoad }) {
    onLoad({ filter: /src\/(ui|live)\/.*\.ts$/ }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8');
      const compact = (await withTokens(text)).replace(/css`[^`]*`/g, (css) => {
        return css.replace(/\/\*.*?\*\//gs, '').replace(/\s+/g, ' ').replace(/ ?([{};,]) ?|(:) /g, '$1$2').replace(/;}/g, '}');
      });
      const { name } = path.parse(file);
      const shared = LATER.includes(name) ? 'beside' : { beside: 'app', call: 'live-page', door: 'live-page', operators: 'live-page', reports: 'live-page', supervision: 'live-page' }[name];
      return { loader: 'ts', contents: compact.replace(/\n\s+/g, '\n') + (shared ? `\nimport './${shared}';` : '') };
    });
  },
};

/** Build entry points; return esbuild's account of the outputs and the file name each entry point became. */
async function bundle(files, options = {}) {
  const { metafile } = await build({ ...hashed, entryPoints: files.map(source), ...options });
  const names = {};
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint) names[path.parse(entryPoint).name] = path.basename(file);
  }
  return { names, outputs: metafile.outputs };
}

/** Return links for what a page needs at once but would discover only file by file: these scripts and all they import. */
function preloads(outputs, scripts) {
  const first = Object.entries(outputs).filter(([file]) => scripts.includes(path.basename(file)));
  const imports = first.flatMap(([, output]) => output.imports).filter(({ kind }) => kind === 'import-statement');
  const files = new Set([...scripts, ...imports.map((chunk) => path.basename(chunk.path))]);
  return [...files].map((file) => `<link rel="modulepreload" href="static/${file}" />`).join('\n');
}

/** Write a page out of its template. */
async function writePage(name, parts) {
  const template = (await readFile(source(name), 'utf8')).replace(/\n\s+/g, '\n');
  const page = template.replace(/\{(\w+)\}/g, (_, part) => parts[part]);
  await writeFile(path.join(OUTPUT, path.basename(name)), page);
}

/** Write the licence texts of the packages that end up in the bundles. */
async function writeLicences() {
  const parts = [];
  for (const name of ['lit-html', 'libphonenumber-js', 'uplot']) {
    const folder = path.join(WEB, 'node_modules', name);
    const { version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
    const text = await readFile(path.join(folder, 'LICENSE'), 'utf8');
    parts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  await writeFile(path.join(OUTPUT, 'THIRD_PARTY_LICENSES.txt'), parts.join(`\n${'-'.repeat(72)}\n\n`));
}

/** Write .gz and .br beside each text, so that the server compresses nothing. */
async function compress() {
  for (const entry of await readdir(OUTPUT, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.png')) continue;
    const file = path.join(entry.parentPath, entry.name);
    const bytes = await readFile(file);
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
    await writeFile(`${file}.gz`, gzipSync(bytes, { level: 9 }));
    await writeFile(`${file}.br`, brotliCompressSync(bytes, quality));
  }
}

await rm(OUTPUT, { recursive: true, force: true });
await mkdir(OUTPUT, { recursive: true });

const audio = await bundle(['sdk/audio/worklets.ts', 'sdk/audio/socket-worker.ts']);
const define = {
  AUDIO_WORKLET_FILE: JSON.stringify(`./${audio.names.worklets}`),
  BUILT_FOR: '"page"',
  SOCKET_WORKER_FILE: JSON.stringify(`./${audio.names['socket-worker']}`),
};
const page = await bundle(['main.ts', 'page.css', ICON], {
  splitting: true,
  plugins: [compactTemplates, languages, tokens],
  loader: { '.svg': 'copy' },
  define,
});

const { main: script, page: style, icon, app, beside } = page.names;
await writePage('index.html', { script, style, icon, preloads: preloads(page.outputs, [app, beside]) });
// None of it is the phone's but the audio; one call comes later, and what operators see and supervisors hear only to them.
const live = await bundle(['live/start.ts', 'live/live.css'], { plugins: [compactTemplates, languages, tokens], splitting: true, define });
const { start: liveScript, 'live-page': livePage, live: liveStyle } = live.names;
const livePreloads = preloads(live.outputs, [liveScript, livePage]);
await writePage('live/live.html', { script: liveScript, style: liveStyle, icon, preloads: livePreloads });
// Their names stay: a worker's is its identity, and what it may look at is what lies beside it.
await bundle(['installed/offline.ts'], { entryNames: '[name]', plugins: [languages] });
const manifest = JSON.parse(await readFile(source('installed/manifest.json'), 'utf8'));
manifest.background_color = manifest.theme_color = (await lightTokens()).ground;
manifest.icons = await buildIcons(source(ICON), OUTPUT);
await writeFile(path.join(OUTPUT, 'manifest.webmanifest'), JSON.stringify(manifest));
const frameStyle = await buildWidget({ bundle, source, output: OUTPUT, define, audio: Object.values(audio.names), icon });
const specimens = await bundle(['design/design.ts', 'design/specimen.css'], {
  plugins: [compactTemplates, languages, tokens],
  define,
});
const design = { script: specimens.names.design, phone: [style, specimens.names.specimen], frame: [frameStyle], icon };
await writeFile(path.join(OUTPUT, 'design.json'), JSON.stringify(design));
await writeLicences();
const sdk = await buildSdk(path.join(OUTPUT, 'sdk'), 'gateway');
await compress();
await sayWeight(sdk);
