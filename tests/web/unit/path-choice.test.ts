/** When the audio moves between socket and WebRTC, in simulated time. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { PathChoice } from '../../../web/src/sdk/call/path-choice';
import type { PathAction, Sight } from '../../../web/src/sdk/call/path-choice';

const STEP_MS = 250;

/** A call whose gateway confirms what is asked and whose page offers when told to. */
class World {
  readonly choice = new PathChoice();
  readonly did: [ms: number, action: PathAction][] = [];
  nowMs = 0;
  sight: Sight = { up: false, reachable: true, due: true, received: 0, lost: 0 };
  /** Packets per second that come, and that are lost. */
  rate = { received: 50, lost: 0 };

  constructor() {
    this.choice.offered(0);
  }

  run(ms: number, sight: Partial<Sight> = {}): this {
    Object.assign(this.sight, sight);
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += STEP_MS;
      if (this.choice.path === 'webrtc') {
        this.sight.received += (this.rate.received * STEP_MS) / 1000;
        this.sight.lost += (this.rate.lost * STEP_MS) / 1000;
      }
      this.#act(this.choice.poll(this.nowMs, { ...this.sight }));
    }
    return this;
  }

  #act(action: PathAction | undefined): void {
    if (action) this.did.push([this.nowMs, action]);
    if (action === 'webrtc') this.choice.selected('webrtc', this.nowMs);
    if (action === 'offer') this.choice.offered(this.nowMs);
  }
}

const actions = (world: World): PathAction[] => world.did.map(([, action]) => action);

test('WebRTC that stands early is taken at once and kept', () => {
  const world = new World().run(500).run(60_000, { up: true });
  assert.deepEqual(world.did, [[750, 'webrtc']]);
});

test('the early path is taken while the phone still rings', () => {
  const world = new World().run(20_000, { up: true, due: false });
  assert.deepEqual(world.did, [[250, 'webrtc']]);
});

test('WebRTC that stands late has to stand two seconds first', () => {
  const world = new World().run(3000).run(5000, { up: true });
  assert.deepEqual(world.did, [[5250, 'webrtc']]);
});

test('WebRTC that never stands is given up once, and the call stays on the socket', () => {
  const world = new World().run(120_000);
  assert.deepEqual(world.did, [[10_000, 'give-up']]);
  assert.equal(world.choice.path, 'websocket');
});

test('ICE lost for less than two seconds changes nothing', () => {
  const world = new World().run(10_000, { up: true }).run(1750, { up: false }).run(10_000, { up: true });
  assert.deepEqual(actions(world), ['webrtc']);
});

test('ICE lost for longer moves to the socket, offers again and comes back', () => {
  const world = new World().run(10_000, { up: true }).run(3000, { up: false });
  assert.deepEqual(world.did.slice(1), [[12_500, 'websocket']]);
  world.run(1000);
  assert.deepEqual(world.did.slice(2), [[13_500, 'offer']]);
  world.run(5000, { up: true });
  assert.deepEqual(world.did.slice(3), [[16_250, 'webrtc']]);
});

test('no packet for 0.6 s moves to the socket, though ICE stands', () => {
  const world = new World().run(10_000, { up: true });
  world.rate.received = 0;
  world.run(1000);
  assert.deepEqual(world.did.slice(1), [[10_750, 'websocket']]);
});

test('what the gateway does not hear moves to the socket at once, though all of the phone comes', () => {
  const world = new World().run(10_000, { up: true });
  world.choice.unheard();
  world.run(STEP_MS);
  assert.deepEqual(world.did.slice(1), [[10_250, 'websocket']]);
  world.choice.unheard();
  world.run(1000).run(5000, { up: true });
  assert.deepEqual(actions(world).slice(2), ['offer', 'webrtc']);
});

test('WebRTC that failed is not taken again before a check of it was answered anew', () => {
  const world = new World().run(10_000, { up: true, answered: 40 });
  world.rate.received = 0;
  world.run(1000).run(20_000);
  assert.deepEqual(actions(world), ['webrtc', 'websocket', 'offer']);
  // The restart has made other pairs, whose counts begin anew.
  world.rate.received = 50;
  world.run(5000, { answered: 0 });
  assert.equal(world.choice.path, 'websocket');
  world.run(2500, { answered: 1 });
  assert.equal(world.choice.path, 'webrtc');
});

test('silence before the answer and on hold is no fault', () => {
  const world = new World().run(1000, { up: true });
  world.rate.received = 0;
  world.run(30_000, { due: false }).run(500, { due: true });
  assert.deepEqual(actions(world), ['webrtc']);
});

test('more than a tenth lost for five seconds moves to the socket', () => {
  const world = new World().run(10_000, { up: true });
  world.rate = { received: 40, lost: 10 };
  world.run(7000);
  const [, [atMs, action]] = world.did;
  assert.equal(action, 'websocket');
  assert.ok(atMs > 12_000 && atMs <= 15_500, String(atMs));
});

test('a tenth lost is borne, and so is a short burst', () => {
  const world = new World().run(10_000, { up: true });
  world.rate = { received: 46, lost: 4 };
  world.run(30_000);
  world.rate = { received: 50, lost: 0 };
  world.run(10_000);
  world.rate = { received: 0, lost: 50 };
  world.run(250);
  world.rate = { received: 50, lost: 0 };
  world.run(10_000);
  assert.deepEqual(actions(world), ['webrtc']);
});

test('the connection that was lossy is not taken again before another offer', () => {
  const world = new World().run(10_000, { up: true });
  world.rate = { received: 30, lost: 20 };
  world.run(6000);
  assert.deepEqual(actions(world).slice(1, 3), ['websocket', 'offer']);
});

test('pauses between offers double and end at half a minute', () => {
  const world = new World().run(5000, { up: true });
  world.run(300_000, { up: false });
  const offers = world.did.filter(([, action]) => action === 'offer').map(([ms]) => ms);
  const gaps = offers.slice(1).map((ms, i) => ms - offers[i]);
  assert.ok(gaps.every((gap) => gap >= 10_000 && gap <= 33_000), String(gaps));
  assert.ok(offers.length < 31);
});

test('another network is tried at once', () => {
  const world = new World().run(30_000);
  assert.deepEqual(actions(world), ['give-up']);
  world.choice.networkChanged(world.nowMs);
  world.run(STEP_MS);
  assert.deepEqual(actions(world), ['give-up', 'offer']);
});

test('a network that changes under WebRTC restarts it in place', () => {
  const world = new World().run(10_000, { up: true });
  world.choice.networkChanged(world.nowMs);
  world.run(STEP_MS).run(500, { up: false }).run(30_000, { up: true });
  assert.deepEqual(actions(world), ['webrtc', 'offer']);
});

test('without the socket nothing is offered and nothing asked', () => {
  const world = new World().run(10_000, { up: true, reachable: false });
  assert.deepEqual(world.did, []);
  world.run(STEP_MS, { reachable: true });
  assert.deepEqual(actions(world), ['webrtc']);
});

test('WebRTC that stands carries the call while the socket is away', () => {
  const world = new World().run(10_000, { up: true }).run(15_000, { reachable: false });
  assert.equal(world.choice.path, 'webrtc');
});

test('the gateway may move the call itself', () => {
  const world = new World().run(10_000, { up: true });
  world.choice.selected('websocket', world.nowMs);
  assert.equal(world.choice.path, 'websocket');
  world.run(1000);
  assert.deepEqual(actions(world), ['webrtc', 'offer']);
});

test('a refused offer is the last one', () => {
  const world = new World();
  world.choice.refused();
  assert.deepEqual(world.run(60_000).did, []);
});
