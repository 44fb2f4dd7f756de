/**
 * RC4, for peers that know no better cipher: adds its key stream to `bytes[from..to)` where they lie. The key is of
 * 1 to 256 bytes. There is no Internet standard; the form is that of RFC 6229's test vectors.
 */
export function rc4(key: Uint8Array, bytes: Uint8Array, from: number, to: number): void {
  const state = new Uint8Array(256);
  for (let i = 0; i < 256; i += 1) state[i] = i;
  for (let i = 0, j = 0; i < 256; i += 1) {
    const held = state[i]!;
    j = (j + held + key[i % key.length]!) & 255;
    state[i] = state[j]!;
    state[j] = held;
  }
  for (let at = from, i = 0, j = 0; at < to; at += 1) {
    i = (i + 1) & 255;
    const a = state[i]!;
    j = (j + a) & 255;
    const b = state[j]!;
    state[i] = b;
    state[j] = a;
    bytes[at]! ^= state[(a + b) & 255]!;
  }
}
