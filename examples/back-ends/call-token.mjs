// Answers `POST /call-token` of your pages: SECRET_KEY=… node call-token.mjs
import { createServer } from 'node:http';

const URL = 'https://calls.example.com/v1/call-tokens';
const headers = { Authorization: `Bearer ${process.env.SECRET_KEY}`, 'Content-Type': 'application/json' };

async function callToken(visitor, destination) {
  const body = JSON.stringify({ button: 'pk_live_KEY', visitor, destination });
  try {
    const reply = await fetch(URL, { method: 'POST', headers, body, signal: AbortSignal.timeout(5000) });
    return [reply.status, await reply.text()];
  } catch (error) {
    console.error(error);
    return [503, '{"code": "gateway_unreachable"}'];
  }
}

createServer(async ({ method, url }, response) => {
  if (method !== 'POST' || url !== '/call-token') return response.writeHead(404).end();
  // Both out of your own session and books, never out of what the page says.
  const [status, body] = await callToken('customer-4711', '+15005551000');
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(body);
}).listen(process.env.PORT ?? 8000, '127.0.0.1');
