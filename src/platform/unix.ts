// Properties of this process and of its local sockets and files that the runtime has no functions for.
import { SystemError } from "../base/errors.ts";
import { check, errno, libc } from "./libc.ts";

/* <asm-generic/socket.h>, <sys/resource.h>, <linux/prctl.h>, <sys/file.h> */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const RLIMIT_NOFILE = 7;
const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;
const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

/** Who is at the other end of a Unix socket, as of its connect. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Asks the kernel who connected; `fd` is a Unix stream socket. @throws SystemError for another kind */
export function peerCredentials(fd: number): PeerCredentials {
  const credentials = new Int32Array(3);
  const length = new Uint32Array([credentials.byteLength]);
  const result = libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length);
  check(result, "getsockopt", "tell who connected");
  const [pid, uid, gid] = credentials;
  // Ids are unsigned: 4294967294 is "nobody" of another user namespace.
  return { pid: pid!, uid: uid! >>> 0, gid: gid! >>> 0 };
}

/**
 * Raises the number of files this process may have open to what its parent allows, and gives that number. Thousands
 * of sessions need it; programs started from here inherit it.
 */
export function raiseOpenFilesLimit(): number {
  const limit = new BigUint64Array(2);
  check(libc.getrlimit(RLIMIT_NOFILE, limit), "getrlimit", "read the limit on open files");
  const [now, most] = limit;
  if (now! >= most!) return Number(now);
  limit[0] = most!;
  // Refused only by a system with rules of its own; then the limit stays what it was.
  return Number(libc.setrlimit(RLIMIT_NOFILE, limit) === 0 ? most : now);
}

/** Files that this process may have open now. @throws SystemError */
export function openFilesLimit(): number {
  const limit = new BigUint64Array(2);
  check(libc.getrlimit(RLIMIT_NOFILE, limit), "getrlimit", "read the limit on open files");
  // Without a limit the number is larger than any of descriptors.
  return Number(limit[0]);
}

/** Keeps keys and passwords out of core files and away from debuggers of the same user. @throws SystemError */
export function denyDumps(): void {
  const result = libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  check(result, "prctl", "keep memory out of core files");
}

/** Programs started from here gain no rights by set-uid bits or file capabilities. @throws SystemError */
export function denyNewPrivileges(): void {
  const result = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  check(result, "prctl", "give up gaining rights");
}

/**
 * Locks an open file for this process, as long as a descriptor of that opening is open. False if another has it.
 * @throws SystemError
 */
export function tryLockFile(fd: number): boolean {
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const error = errno();
  if (error !== EWOULDBLOCK) throw new SystemError("flock", error, "lock a file");
  return false;
}
