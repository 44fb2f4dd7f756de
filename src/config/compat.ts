/** Improvements that can be switched back to the reference's behaviour, each as a whole (hub.md 17). */
export const COMPAT_NAMES = [
  "mac-rules",
  "ip-rules",
  "polling",
  "session-end",
  "loop-probe",
  "nat-errors",
  "dhcp",
] as const;

export type CompatName = (typeof COMPAT_NAMES)[number];
