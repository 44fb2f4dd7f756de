// The C library by FFI: the system calls that the runtime has no function for.
//
// Two ways of passing memory, not to be mixed up:
// - calls of the control path take the typed array itself ("ptr"): it is an argument, so it lives until the call is over;
// - calls of the frame path take addresses ("usize") of memory that lives for ever, see packet-memory.ts.
// A number keeps nothing alive: the address of a buffer that nobody else refers to ends in EFAULT, or worse.
import { dlopen, FFIType, ptr, read, type FFIFunction } from "bun:ffi";
import { SystemError, VpnError } from "../base/errors.ts";

/** Names of the C library: glibc, then musl per architecture. */
const LIBRARY_NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/** 64 bits that come back as a number where they fit one. */
const I64 = FFIType.i64_fast;

const SYMBOLS = {
  // Frame path: addresses.
  read: { args: ["i32", "usize", "usize"], returns: I64 },
  write: { args: ["i32", "usize", "usize"], returns: I64 },
  readv: { args: ["i32", "usize", "i32"], returns: I64 },
  writev: { args: ["i32", "usize", "i32"], returns: I64 },
  sendmmsg: { args: ["i32", "usize", "u32", "i32"], returns: "i32" },
  recvmmsg: { args: ["i32", "usize", "u32", "i32", "usize"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "usize"], returns: "i32" },
  epoll_wait: { args: ["i32", "usize", "i32", "i32"], returns: "i32" },
  madvise: { args: ["usize", "usize", "i32"], returns: "i32" },
  syscall: {
    args: [I64, I64, I64, I64, I64, I64, I64],
    returns: I64,
  },
  // Control path: typed arrays.
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  ioctl: { args: ["i32", "usize", "ptr"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "usize"], returns: "i32" },
  eventfd: { args: ["u32", "i32"], returns: "i32" },
  epoll_create1: { args: ["i32"], returns: "i32" },
  poll: { args: ["ptr", "usize", "i32"], returns: "i32" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "usize", "i32", "ptr", "u32"], returns: I64 },
  recv: { args: ["i32", "ptr", "usize", "i32"], returns: I64 },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  getrlimit: { args: ["i32", "ptr"], returns: "i32" },
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
  prctl: { args: ["i32", "usize", "usize", "usize", "usize"], returns: "i32" },
  execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  setpriority: { args: ["i32", "u32", "i32"], returns: "i32" },
  getpagesize: { args: [], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
} as const satisfies Record<string, FFIFunction>;

/** `ioctl` whose argument is a number and not a structure. */
const VALUE_IOCTL = {
  ioctl: { args: ["i32", "usize", "usize"], returns: "i32" },
} as const satisfies Record<string, FFIFunction>;

/** True where the calls below exist. Elsewhere each of them throws. */
export const hasLibc = process.platform === "linux";

/** The calls as the C library has them: a negative result means failure, see `errno()`. */
export const libc = openLibrary(SYMBOLS);
/** `ioctl(2)` with a number as argument: (fd, request, value). */
export const ioctlValue = openLibrary(VALUE_IOCTL).ioctl;

/** The number of the error that the last failed call left. Ask at once: any other call may change it. */
export function errno(): number {
  const at = libc.__errno_location();
  return at === null ? 0 : read.i32(at);
}

/**
 * Hands back the result of a call of the control path if it is not negative.
 * @throws SystemError `Cannot <detail>: <call> failed with ENODEV (no such device)`
 */
export function check(result: number | bigint, call: string, detail: string): number {
  if (result < 0) throw new SystemError(call, errno(), detail);
  return Number(result);
}

/** Text as C takes it: UTF-8 with a zero at the end. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** The address of memory that the caller keeps for as long as the number is used. */
export function addressOf(bytes: NodeJS.TypedArray): number {
  return Number(ptr(bytes));
}

function openLibrary<T extends Record<string, FFIFunction>>(symbols: T) {
  if (!hasLibc) return withoutLibrary<T>();
  let cause: unknown;
  for (const name of LIBRARY_NAMES) {
    try {
      return dlopen(name, symbols).symbols;
    } catch (thrown) {
      cause = thrown;
    }
  }
  throw new VpnError("no_libc", `Cannot open the C library: tried ${LIBRARY_NAMES.join(", ")}`, {
    cause,
  });
}

/** Lets modules that mention system calls load on other systems; using one is an error that says so. */
function withoutLibrary<T extends Record<string, FFIFunction>>() {
  return new Proxy({} as ReturnType<typeof dlopen<T>>["symbols"], {
    get: (_, call) => () => {
      throw new VpnError("not_supported", `Cannot call ${String(call)}: not on this system`);
    },
  });
}
