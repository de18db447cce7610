// Draws the icons of an installed phone out of icon.svg: PNG in the sizes that systems ask for, one for any mask.
//
// The icon is one stroked path with round ends and corners on a rounded square. So how much of a pixel is covered
// follows from its distance to the path, and no library of graphics is needed.

import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

/** Sizes that make a page installable (web.dev, "install criteria"). */
const SIZES = [192, 512];

/** Points along each arc and curve: at 512 pixels they are closer together than one. */
const STEPS = 32;

/** Write the icons; return them as a manifest lists them, with addresses relative to the page. */
export async function buildIcons(source, output) {
  const icon = read(await readFile(source, 'utf8'));
  const wanted = [...SIZES.map((size) => ({ size, purpose: 'any' })), { size: SIZES[1], purpose: 'maskable' }];
  const listed = [];
  for (const { size, purpose } of wanted) {
    const png = encode(size, draw(icon, size, purpose === 'maskable' ? 0 : icon.radius));
    const hash = createHash('sha256').update(png).digest('hex').slice(0, 8).toUpperCase();
    const name = `icon-${purpose === 'maskable' ? 'masked-' : ''}${size}-${hash}.png`;
    await writeFile(path.join(output, name), png);
    listed.push({ src: `static/${name}`, sizes: `${size}x${size}`, type: 'image/png', purpose });
  }
  return listed;
}

/** Return what there is to draw, in the units of the view box. */
function read(svg) {
  const value = (pattern) => svg.match(pattern)[1];
  const [x, y] = value(/translate\(([^)]*)\)/).split(' ').map(Number);
  const scale = Number(value(/scale\(([^)]*)\)/));
  const points = flattened(value(/ d="([^"]*)"/)).map(([u, v]) => [x + u * scale, y + v * scale]);
  return {
    side: Number(value(/viewBox="0 0 (\d+)/)),
    radius: Number(value(/ rx="(\d+)"/)),
    ground: colour(value(/fill="(#\w{6})"/)),
    half: (Number(value(/stroke-width="(\d+)"/)) * scale) / 2,
    segments: points.slice(1).map((point, i) => [...points[i], ...point]),
  };
}

function colour(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

/** Return the points of a path of one part (SVG 1.1, 8.3); only the commands that icon.svg has. */
function flattened(d) {
  const points = [];
  let [x, y] = [0, 0];
  const to = (u, v) => points.push([([x, y] = [u, v])[0], v]);
  for (const [, command, text] of d.matchAll(/([a-zA-Z])([^a-zA-Z]*)/g)) {
    // A number may begin where another ends: `-2.2.7` is two. The flags of these arcs stand apart.
    const numbers = (text.match(/-?(?:\d*\.\d+|\d+)/g) ?? []).map(Number);
    const take = { M: 2, V: 1, H: 1, L: 2, C: 6, A: 7, Z: 0 }[command.toUpperCase()];
    if (take === undefined || (take && numbers.length % take)) throw new Error(`icon.svg: ${command}${text} is not understood`);
    const isRelative = command !== command.toUpperCase();
    for (let i = 0; i < (take ? numbers.length : 1); i += take || 1) {
      const n = numbers.slice(i, i + take);
      const [ox, oy] = isRelative ? [x, y] : [0, 0];
      if (take === 0) to(...points[0]);
      else if (take === 1) to(...(command.toUpperCase() === 'V' ? [x, oy + n[0]] : [ox + n[0], y]));
      else if (take === 2) to(ox + n[0], oy + n[1]);
      else if (take === 6) curve([x, y], [ox + n[0], oy + n[1]], [ox + n[2], oy + n[3]], [ox + n[4], oy + n[5]]).forEach((p) => to(...p));
      else arc([x, y], n, [ox + n[5], oy + n[6]]).forEach((p) => to(...p));
    }
  }
  return points;
}

function curve(a, b, c, d) {
  return steps((t) => [0, 1].map((i) => (1 - t) ** 3 * a[i] + 3 * (1 - t) ** 2 * t * b[i] + 3 * (1 - t) * t ** 2 * c[i] + t ** 3 * d[i]));
}

/** Points of a circle's arc, from its ends to its centre (SVG 1.1, F.6.5, for equal radii). */
function arc([x1, y1], [radius, , , large, sweep], [x2, y2]) {
  const [dx, dy] = [(x2 - x1) / 2, (y2 - y1) / 2];
  const reach = Math.hypot(dx, dy);
  const r = Math.max(radius, reach);
  const away = (Math.sqrt(r * r - reach * reach) / reach) * (large === sweep ? -1 : 1);
  const [cx, cy] = [x1 + dx - away * dy, y1 + dy + away * dx];
  const from = Math.atan2(y1 - cy, x1 - cx);
  let turn = Math.atan2(y2 - cy, x2 - cx) - from;
  if (sweep && turn < 0) turn += 2 * Math.PI;
  if (!sweep && turn > 0) turn -= 2 * Math.PI;
  return steps((t) => [cx + r * Math.cos(from + t * turn), cy + r * Math.sin(from + t * turn)]);
}

function steps(at) {
  return Array.from({ length: STEPS }, (_, i) => at((i + 1) / STEPS));
}

/** Return the pixels, RGBA row by row. */
function draw({ side, radius, ground, half, segments }, size, corner) {
  const pixels = Buffer.alloc(size * size * 4);
  const unit = side / size;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const [x, y] = [(column + 0.5) * unit, (row + 0.5) * unit];
      const line = covered((half - distance(segments, x, y, half + unit)) / unit);
      const square = corner ? covered(inside(x, y, side, radius) / unit) : 1;
      const at = (row * size + column) * 4;
      ground.forEach((value, i) => (pixels[at + i] = Math.round(value + (255 - value) * line)));
      pixels[at + 3] = Math.round(255 * square);
    }
  }
  return pixels;
}

/** Share of a pixel that is covered, its centre so many pixels inside an edge. */
function covered(pixels) {
  return Math.min(1, Math.max(0, 0.5 + pixels));
}

/** How far a point is from the nearest segment, or `far` where it is farther. */
function distance(segments, x, y, far) {
  let nearest = far;
  for (const [ax, ay, bx, by] of segments) {
    if (Math.min(ax, bx) - x > nearest || x - Math.max(ax, bx) > nearest) continue;
    const [dx, dy] = [bx - ax, by - ay];
    const length = dx * dx + dy * dy;
    const share = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
    nearest = Math.min(nearest, Math.hypot(x - ax - share * dx, y - ay - share * dy));
  }
  return nearest;
}

/** How far a point lies inside a rounded square. */
function inside(x, y, side, radius) {
  const [u, v] = [x, y].map((value) => Math.abs(value - side / 2) - side / 2 + radius);
  return radius - Math.hypot(Math.max(u, 0), Math.max(v, 0)) - Math.min(Math.max(u, v), 0);
}

/** Return the pixels as a PNG (W3C PNG, third edition): no filter, one IDAT. */
function encode(size, pixels) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 6], 8);
  const rows = Buffer.concat(
    Array.from({ length: size }, (_, row) => Buffer.concat([Buffer.from([0]), pixels.subarray(row * size * 4, (row + 1) * size * 4)])),
  );
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level: 9 })), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}
