// A relay of WebSocket audio as one writes it with `ws`. Run as a process by the benchmark:
// the listening socket's descriptor is the first argument.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const pairs = new Map();

function pairOf(number) {
  let pair = pairs.get(number);
  if (pair === undefined) {
    pair = { browser: null, carrier: null, streamSid: "" };
    pairs.set(number, pair);
  }
  return pair;
}

function relayBrowser(socket, pair) {
  pair.browser = socket;
  socket.on("message", (audio, isBinary) => {
    if (!isBinary || pair.carrier === null) return;
    const media = { payload: audio.toString("base64") };
    pair.carrier.send(JSON.stringify({ event: "media", streamSid: pair.streamSid, media }));
  });
}

function relayCarrier(socket, pair) {
  socket.on("message", (text) => {
    const event = JSON.parse(text);
    if (event.event === "media") {
      pair.browser?.send(Buffer.from(event.media.payload, "base64"));
    } else if (event.event === "start") {
      pair.carrier = socket;
      pair.streamSid = event.streamSid;
      pair.browser?.send(JSON.stringify({ type: "accept" }));
    }
  });
}

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const [, , leg, number] = request.url.split("/");
  const pair = pairOf(number);
  socket.on("error", () => socket.terminate());
  if (leg === "browser") relayBrowser(socket, pair);
  else relayCarrier(socket, pair);
});
server.listen({ fd: Number(process.argv[2]) });
