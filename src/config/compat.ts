/** Improvements that can be switched back to the reference's behaviour, each as a whole (hub.md 17). */
export const COMPAT_NAMES = [
  "mac-rules",
  "ip-rules",
  "polling",
  "session-end",
  "loop-probe",
  "nat-errors",
  "dhcp",
  "l3-errors",
] as const;

export type CompatName = (typeof COMPAT_NAMES)[number];
