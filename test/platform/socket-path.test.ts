import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findSocket, prepareSocketPath } from "../../src/platform/socket-path.ts";

describe("socket paths", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const listen = (path: string) => Bun.listen({ unix: path, socket: { data() {} } });
  const longFolder = () => {
    const path = join(folder, "long".repeat(30));
    mkdirSync(path);
    return path;
  };

  test("prepareSocketPath() gives a short path as it is, and release() removes the socket", () => {
    const wanted = join(folder, "a.sock");
    const place = prepareSocketPath(wanted, folder);
    expect(place.path).toBe(wanted);
    const listener = listen(place.path);
    expect(findSocket(wanted)).toBe(wanted);
    listener.stop();
    place.release();
    place.release();
    expect([findSocket(wanted), readdirSync(folder)]).toEqual([undefined, []]);
  });

  test("prepareSocketPath() removes what a dead process left", () => {
    const wanted = join(folder, "a.sock");
    writeFileSync(wanted, "old");
    const listener = listen(prepareSocketPath(wanted, folder).path);
    expect(findSocket(wanted)).toBe(wanted);
    listener.stop();
  });

  test("a path over 107 bytes is known by a file, and the socket lies in a private folder", () => {
    const wanted = join(longFolder(), "a.sock");
    const place = prepareSocketPath(wanted, folder);
    const listener = listen(place.path);
    expect(Buffer.byteLength(place.path)).toBeLessThan(108);
    expect(findSocket(wanted)).toBe(place.path);
    expect(statSync(join(place.path, "..")).mode & 0o777).toBe(0o700);
    expect(statSync(wanted).mode & 0o777).toBe(0o600);
    listener.stop();
    place.release();
    expect(findSocket(wanted)).toBeUndefined();
    expect(readdirSync(folder)).toEqual(["long".repeat(30)]);
  });

  test.each(["", "relative/path", "/nonexistent/socket", "x".repeat(500)])(
    "findSocket() finds nothing by a file with %j in it",
    (text) => {
      const wanted = join(folder, "a.sock");
      writeFileSync(wanted, text);
      expect(findSocket(wanted)).toBeUndefined();
    },
  );
});
