import { join } from "node:path";
import { check } from "./process.ts";
import type { Certificate } from "./session-options.ts";
import type { World } from "./namespace.ts";

/** Makes a self-signed certificate and its key, RSA of 2048 bits, which the reference takes as well. */
export async function makeCertificate(world: World, name: string): Promise<Certificate> {
  const cert = join(world.directory, `${name}.crt`);
  const key = join(world.directory, `${name}.key`);
  const subject = `/CN=${name}`;
  const form = "req -x509 -newkey rsa:2048 -nodes -days 2".split(" ");
  await check(["openssl", ...form, "-subj", subject, "-keyout", key, "-out", cert]);
  return { cert, key };
}
