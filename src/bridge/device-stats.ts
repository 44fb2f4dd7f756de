/** What a port on a frame device has done. Ingress is from the device into the hub. Numbers only grow. */
export interface DeviceStats {
  ingressFrames: number;
  /** Bytes of frames, without size prefixes. */
  ingressBytes: number;
  egressFrames: number;
  egressBytes: number;
  /** Calls to the system that moved something: super-frames make them fewer than frames. */
  reads: number;
  writes: number;
  readonly drops: Record<DeviceDropReason, number>;
}

/** Why a frame between hub and device was lost. */
export const DEVICE_DROP_REASONS = [
  /** Shorter than 14 bytes or longer than 1600 (protocol.md 13). */
  "frame_length",
  /** A super-frame whose headers do not add up. */
  "frame_header",
  /** The interface is down. */
  "interface_down",
  /** The kernel had no room for what was written. */
  "queue_full",
  /** The kernel had no room for what arrived, as we did not read in time. */
  "receive_full",
  /** Longer than the interface takes: its MTU is smaller than that of those who send. */
  "over_mtu",
  /** A DHCP message of the interface's own station, which does not pass (hub.md 14.2). */
  "own_dhcp",
  /** The kernel refused the frame. */
  "refused",
  /** The port was closed already. */
  "port_closed",
] as const;

export type DeviceDropReason = (typeof DEVICE_DROP_REASONS)[number];

export function emptyDeviceStats(): DeviceStats {
  return {
    ingressFrames: 0,
    ingressBytes: 0,
    egressFrames: 0,
    egressBytes: 0,
    reads: 0,
    writes: 0,
    drops: {
      frame_length: 0,
      frame_header: 0,
      interface_down: 0,
      queue_full: 0,
      receive_full: 0,
      over_mtu: 0,
      own_dhcp: 0,
      refused: 0,
      port_closed: 0,
    },
  };
}

/** Adds what another port on the same interface has done. */
export function addDeviceStats(sum: DeviceStats, more: DeviceStats): void {
  for (const key of NUMBERS) sum[key] += more[key];
  for (const reason of DEVICE_DROP_REASONS) sum.drops[reason] += more.drops[reason];
}

const NUMBERS = [
  "ingressFrames",
  "ingressBytes",
  "egressFrames",
  "egressBytes",
  "reads",
  "writes",
] as const satisfies readonly (keyof DeviceStats)[];
