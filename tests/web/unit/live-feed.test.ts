/** The connection: what it sends, how long it waits, when it gives up. Time stands still but where a test lets it go on. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Feed, waitMs } from '../../../web/src/live/feed';
import type { Connection, World } from '../../../web/src/live/feed';
import { Refusal } from '../../../web/src/live/requests';

interface Asked {
  headers: Record<string, string>;
  credentials: string | undefined;
  signal: AbortSignal;
}

/** A browser whose gateway answers what a test says. */
class Fake implements World {
  nowMs = 0;
  asked: Asked[] = [];
  answers: (() => Response | Promise<Response>)[] = [];
  timers: { atMs: number; act: () => void }[] = [];
  told: Connection[] = [];
  taken: [string, unknown][] = [];
  readonly feed: Feed;

  constructor(key?: string) {
    const listener = {
      news: (type: string, news: unknown) => void this.taken.push([type, news]),
      connection: (connection: Connection) => void this.told.push(connection),
    };
    this.feed = new Feed('v1/live-feed', key, listener, this);
  }

  fetch(_: string, options: RequestInit): Promise<Response> {
    const { headers, credentials, signal } = options as unknown as Asked;
    this.asked.push({ headers: { ...headers }, credentials, signal });
    const answer = this.answers.shift();
    if (!answer) return Promise.reject(new TypeError('No network.'));
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('Aborted.', 'AbortError')));
      void Promise.resolve(answer()).then(resolve);
    });
  }

  now(): number {
    return this.nowMs;
  }

  random(): number {
    return 0;
  }

  after(milliseconds: number, act: () => void): () => void {
    const timer = { atMs: this.nowMs + milliseconds, act };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((each) => each !== timer));
  }

  /** Let time go on, and all that happens until then happen. */
  async pass(milliseconds: number): Promise<void> {
    await settled();
    this.nowMs += milliseconds;
    const due = this.timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.timers = this.timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { act } of due) act();
    await settled();
  }

  get last(): Connection | undefined {
    return this.told.at(-1);
  }
}

/** Wait until all that is ready has run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A feed that says these texts, and then ends or stays. */
function stream(texts: readonly string[], stays = false): () => Response {
  return () => {
    const body = new ReadableStream({
      start(controller) {
        for (const text of texts) controller.enqueue(new TextEncoder().encode(text));
        if (!stays) controller.close();
      },
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
  };
}

const refused = (status: number, code?: string, headers = {}): (() => Response) => {
  return () => new Response(code ? JSON.stringify({ code }) : 'busy', { status, headers });
};

const EVENT = 'id: 1:4\nevent: snapshot\ndata: {"at": "x"}\n\n';

test('a key goes into the header, and never beside a cookie', async () => {
  const fake = new Fake('ck_1');
  fake.answers = [stream([], true)];
  fake.feed.connect();
  await settled();
  assert.equal(fake.asked[0].headers.Authorization, 'Bearer ck_1');
  assert.equal(fake.asked[0].credentials, 'omit');
  assert.equal(fake.last?.phase, 'live');
});

test('whoever is signed in is known by the cookie', async () => {
  const fake = new Fake();
  fake.feed.connect();
  await settled();
  assert.equal(fake.asked[0].headers.Authorization, undefined);
  assert.equal(fake.asked[0].credentials, 'same-origin');
});

test('a connection that breaks goes on where it was', async () => {
  const fake = new Fake();
  fake.answers = [stream([EVENT]), stream([], true)];
  fake.feed.connect();
  await fake.pass(0);
  assert.deepEqual(fake.taken, [['snapshot', { at: 'x' }]]);
  assert.equal(fake.last?.phase, 'waiting');
  await fake.pass(500);
  assert.equal(fake.asked[1].headers['Last-Event-ID'], '1:4');
  assert.equal(fake.last?.phase, 'live');
});

test('it waits longer each time, at most a quarter of a minute', async () => {
  const fake = new Fake();
  fake.feed.connect();
  for (const wait of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
    await settled();
    assert.deepEqual(fake.last, { phase: 'waiting', untilMs: fake.nowMs + wait, status: 0 });
    await fake.pass(wait);
  }
});

test('those who were cut off together come back apart', () => {
  assert.equal(waitMs(0, undefined, 0), 500);
  assert.equal(waitMs(0, undefined, 0.999) > 600, true);
  assert.equal(waitMs(20, undefined, 0.999) < 19_000, true);
});

test('it waits as long as the gateway asks for, up to a minute', () => {
  assert.equal(waitMs(0, new Refusal(429, '', '', 7), 0), 7000);
  assert.equal(waitMs(0, new Refusal(503, '', '', 86_400), 0), 60_000);
});

test('after a connection that held, it begins with the shortest wait', async () => {
  const fake = new Fake();
  fake.feed.connect();
  await fake.pass(500);
  let end = (): void => {};
  const body = new ReadableStream({ start: (controller) => void (end = () => controller.close()) });
  fake.answers = [() => new Response(body)];
  await fake.pass(1000);
  await fake.pass(20_000);
  end();
  await settled();
  assert.deepEqual(fake.last, { phase: 'waiting', untilMs: fake.nowMs + 500, status: 0 });
});

for (const [status, code, ended] of [
  [401, undefined, 'unauthorized'],
  [401, 'key_revoked', 'unauthorized'],
  [403, 'scope_missing', 'scope_missing'],
  [404, undefined, 'other'],
] as const) {
  test(`${status} ${code ?? ''} is the end: ${ended}`, async () => {
    const fake = new Fake();
    fake.answers = [refused(status, code)];
    fake.feed.connect();
    await settled();
    assert.deepEqual(fake.last, { phase: 'ended', code: ended });
    await fake.pass(100_000);
    assert.equal(fake.asked.length, 1);
  });
}

for (const status of [429, 500, 503]) {
  test(`${status} is waited for`, async () => {
    const fake = new Fake();
    fake.answers = [refused(status, undefined, { 'Retry-After': '3' })];
    fake.feed.connect();
    await settled();
    assert.deepEqual(fake.last, { phase: 'waiting', untilMs: 3000, status });
  });
}

test('the gateway says when rights end', async () => {
  const fake = new Fake();
  fake.answers = [stream([EVENT, 'event: end\ndata: {"code": "unauthorized"}\n\n'], true)];
  fake.feed.connect();
  await settled();
  assert.deepEqual(fake.last, { phase: 'ended', code: 'unauthorized' });
  assert.equal(fake.asked[0].signal.aborted, true);
});

test('an event that cannot be read is not gone on from', async () => {
  const fake = new Fake();
  fake.answers = [stream([EVENT, 'id: 1:5\nevent: delta\ndata: {\n\n'], true), stream([], true)];
  fake.feed.connect();
  await fake.pass(0);
  await fake.pass(500);
  assert.equal('Last-Event-ID' in fake.asked[1].headers, false);
});

test('a connection that says nothing is given up', async () => {
  const fake = new Fake();
  // It hangs before its headers come.
  fake.answers = [() => new Promise(() => {})];
  fake.feed.connect();
  await fake.pass(39_000);
  assert.equal(fake.last?.phase, 'connecting');
  await fake.pass(1000);
  assert.equal(fake.asked[0].signal.aborted, true);
  assert.equal(fake.last?.phase, 'waiting');
});

test('whoever waits may try at once', async () => {
  const fake = new Fake();
  fake.feed.connect();
  await settled();
  fake.answers = [stream([], true)];
  fake.feed.connect();
  await settled();
  assert.equal(fake.last?.phase, 'live');
  fake.feed.connect();
  assert.equal(fake.asked.length, 2, 'one connection at a time');
});

test('after it is stopped nothing more is told', async () => {
  const fake = new Fake();
  fake.answers = [stream([EVENT], true)];
  fake.feed.connect();
  await settled();
  const told = fake.told.length;
  fake.feed.stop();
  await fake.pass(100_000);
  assert.equal(fake.told.length, told);
  assert.equal(fake.asked.length, 1);
});
