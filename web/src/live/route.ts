/** Which view an address asks for. Pure. */

/** A view of the page. */
export type View = 'overview' | 'calls' | 'call' | 'nodes' | 'fraud' | 'credit' | 'wall';

/** Views whose address is their name alone. */
const NAMED: readonly string[] = ['calls', 'nodes', 'fraud', 'credit'] satisfies View[];

/** What an address asks for. */
export interface Route {
  view: View;
  /** Of the call, if the view is one; else empty. */
  callId: string;
  /** From how many minutes a call is marked as long. */
  longMinutes: number;
}

const LONG_MINUTES = 60;

/** Return what the parts of an address ask for: `search` is its query, `hash` its fragment. */
export function routeOf(search: string, hash: string): Route {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const [name, id = ''] = path.split('/');
  const minutes = Number(new URLSearchParams(query).get('long'));
  const isWall = name === 'wall' || new URLSearchParams(search).has('wall');
  const view = isWall ? 'wall' : NAMED.includes(name) || (name === 'call' && id) ? (name as View) : 'overview';
  return { view, callId: view === 'call' ? decoded(id) : '', longMinutes: minutes >= 1 ? minutes : LONG_MINUTES };
}

function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    // No call has such an id, and the page says so.
    return id;
  }
}
