// Run in a namespace by NatWorld: `nat-peer.ts PORT` is a web server that tests downloads and uploads, on all addresses.
import { createCipheriv, createHash } from "node:crypto";

const CHUNK = 262_144;

/** Bytes that neither repeat nor compress, the same for each download: the caller knows their hash from a first one. */
function noise(total: number): ReadableStream<Uint8Array> {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK);
  let left = total;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(cipher.update(left < CHUNK ? zeros.subarray(0, left) : zeros));
      left -= Math.min(left, CHUNK);
      if (left === 0) controller.close();
    },
  });
}

async function digest(body: ReadableStream<Uint8Array> | null): Promise<Response> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of body ?? []) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return Response.json({ bytes, sha256: hash.digest("hex") });
}

Bun.serve({
  hostname: "::",
  port: Number(process.argv[2]),
  // Slow guests are what some tests are about.
  idleTimeout: 0,
  maxRequestBodySize: 2 ** 40,
  fetch(request, server) {
    if (request.method !== "GET") return digest(request.body);
    const [, bytes] = /^\/noise\/(\d+)$/.exec(new URL(request.url).pathname) ?? [];
    if (bytes === undefined) return new Response(`${server.requestIP(request)?.address}\n`);
    return new Response(noise(Number(bytes)), { headers: { "content-length": bytes } });
  },
});
