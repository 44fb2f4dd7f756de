import { dlopen } from "bun:ffi";
import { check, cString, libc } from "../../src/platform/libc.ts";

const CLONE_NEWNET = 0x4000_0000;
const { setns } = dlopen(
  ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"].find(canOpen) ?? "libc.so.6",
  { setns: { args: ["i32", "i32"], returns: "i32" } },
).symbols;

/**
 * Runs `body`, which must not wait, with this thread in a network namespace. What it opens stays there: sockets and
 * TAPs belong to the namespace in which they were made.
 */
export function inNamespace<T>(netns: string, body: () => T): T {
  const open = (path: string) =>
    check(libc.open(cString(path), 0x80000, 0), "open", `open ${path}`);
  const home = open("/proc/thread-self/ns/net");
  const there = open(`/run/netns/${netns}`);
  try {
    check(setns(there, CLONE_NEWNET), "setns", `enter ${netns}`);
    return body();
  } finally {
    check(setns(home, CLONE_NEWNET), "setns", "return from a namespace");
    libc.close(home);
    libc.close(there);
  }
}

function canOpen(name: string): boolean {
  try {
    dlopen(name, { getpid: { args: [], returns: "i32" } }).close();
    return true;
  } catch {
    return false;
  }
}
