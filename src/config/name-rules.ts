import { MAX_HUBS, MAX_NAME_CHARS, MAX_USERS_PER_HUB } from "../base/limits.ts";

const HUB_NAME = /^[A-Za-z0-9 ()\-_#%&.]+$/;
const USER_NAME = /^[A-Za-z0-9 ()\-_#%&.@]+$/;
/** Names under which the server's own sessions appear (hub.md 9.1). */
const RESERVED = /^(?:link|cascade|securenat|localbridge|local bridge|administrator)$|^l3sw_/i;

function refuse(rule: RegExp, letters: string): (name: string) => string | undefined {
  return (name) => {
    if (name.length > MAX_NAME_CHARS) return `a name has at most ${MAX_NAME_CHARS} characters`;
    return rule.test(name) ? undefined : `a name consists of ${letters}`;
  };
}

const refuseHubName = refuse(HUB_NAME, "letters, digits, spaces and ( ) - _ # % & .");
const refuseUserName = refuse(USER_NAME, "letters, digits, spaces and ( ) - _ # % & . @");

/** hub.md 2.1. */
export const HUB_NAMES = { noun: "hub", max: MAX_HUBS, refuse: refuseHubName } as const;

/** Stands for everybody whom a RADIUS or NT server accepts (hub.md 9.4). */
export const EVERYBODY = "*";

/** hub.md 9.1. */
export const USER_NAMES = {
  noun: "user",
  max: MAX_USERS_PER_HUB,
  refuse: (name: string) => {
    if (name === EVERYBODY) return undefined;
    return RESERVED.test(name) ? "this name is reserved" : refuseUserName(name);
  },
} as const;

/**
 * Why a name that only somebody outside knows cannot be that of a session, or undefined. A domain and its backslash may
 * stand before it.
 */
export function refuseTypedName(name: string): string | undefined {
  if (name === EVERYBODY || RESERVED.test(name)) return "this name is reserved";
  return refuseUserName(name.replace("\\", "."));
}

export const GROUP_NAMES = {
  noun: "group",
  max: MAX_USERS_PER_HUB,
  refuse: (name: string) => (RESERVED.test(name) ? "this name is reserved" : refuseUserName(name)),
} as const;

/** hub.md 15.3: names of accounts are for people, in any script. */
export const ACCOUNT_NAMES = {
  noun: "account",
  max: 4096,
  refuse: (name: string) => {
    if (name.length > MAX_NAME_CHARS) return `a name has at most ${MAX_NAME_CHARS} characters`;
    return /^[^\p{Cc}\p{Cs}]+$/u.test(name) && name.trim() === name
      ? undefined
      : "a name is text without control characters, and without spaces at its ends";
  },
} as const;

/** hub.md 15.2. */
const MAX_NIC_NAME_CHARS = 31;
export const NIC_NAMES = {
  noun: "NIC",
  max: 256,
  refuse: (name: string) =>
    name.length > MAX_NIC_NAME_CHARS
      ? `a name has at most ${MAX_NIC_NAME_CHARS} characters`
      : refuseHubName(name),
} as const;

/** IFNAMSIZ of Linux less the NUL; the kernel refuses slashes, spaces and the names of folders. */
const DEVICE_NAME = /^[^\s/:]{1,15}$/;

/** The name if a network interface can have it. */
export function tryDeviceName(name: string): string | undefined {
  return DEVICE_NAME.test(name) && name !== "." && name !== ".." ? name : undefined;
}
