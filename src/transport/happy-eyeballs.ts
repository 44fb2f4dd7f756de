import type { Clock, Timer } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import type { HostAddresses } from "./host-addresses.ts";

/** RFC 8305 5: the Connection Attempt Delay, in milliseconds. */
const ATTEMPT_DELAY_MS = 250;

/**
 * Connects to the first address that answers (RFC 8305 5): attempts start 250 ms apart, or at once when one has
 * failed; the first that succeeds cuts the others short. Their addresses go back into the list, so that a caller
 * who is not content with the winner goes on with them.
 * @throws the failure of the only address, or one VpnError that names all; `resolve_failed` where there was none.
 */
export function raceAddresses<T>(
  addresses: HostAddresses,
  connect: (address: string, signal: AbortSignal) => Promise<T>,
  deps: { clock: Clock; signal: AbortSignal; drop: (late: T) => void },
): Promise<{ address: string; value: T }> {
  return new Promise((resolve, reject) => {
    const running = new Map<string, AbortController>();
    const failures: Error[] = [];
    let stagger: Timer | undefined;
    let isSettled = false;

    const settle = (act: () => void) => {
      if (isSettled) return;
      isSettled = true;
      stagger?.cancel();
      deps.signal.removeEventListener("abort", cancel);
      addresses.onChange = () => {};
      for (const [address, attempt] of running) {
        attempt.abort();
        addresses.giveBack(address);
      }
      act();
    };
    const cancel = () => settle(() => reject(new VpnError("cancelled", "Cancelled")));
    const begin = () => {
      stagger?.cancel();
      stagger = undefined;
      const address = addresses.take();
      if (address !== undefined) {
        // Before the attempt: the runtime runs promise callbacks while it opens a socket, and they may come back here.
        stagger = deps.clock.after(ATTEMPT_DELAY_MS, begin);
        attempt(address);
      } else if (running.size === 0 && addresses.isComplete) {
        settle(() => reject(addresses.failure ?? joinFailures(failures)));
      }
    };
    const attempt = (address: string) => {
      const controller = new AbortController();
      running.set(address, controller);
      connect(address, controller.signal).then(
        (value) => {
          // Two may answer in the same moment.
          if (isSettled) return deps.drop(value);
          running.delete(address);
          settle(() => resolve({ address, value }));
        },
        (error: Error) => {
          running.delete(address);
          if (isSettled) return;
          failures.push(error);
          begin();
        },
      );
    };

    if (deps.signal.aborted) return cancel();
    deps.signal.addEventListener("abort", cancel, { once: true });
    addresses.onChange = () => {
      if (stagger === undefined) begin();
    };
    begin();
  });
}

/** The least hopeless first: a host that answers somehow tells more than one that is silent. */
const CODE_ORDER = ["tls_failed", "connect_failed", "timeout"];

/** One error of many: that of the only address, or a text that names each. */
export function joinFailures(failures: readonly Error[]): Error {
  if (failures.length === 1) return failures[0]!;
  const codes = new Set(failures.map((error) => (error instanceof VpnError ? error.code : "")));
  const code = CODE_ORDER.find((one) => codes.has(one)) ?? "connect_failed";
  const text = failures.map((error) => error.message).join("; ");
  return new VpnError(code, text === "" ? "No address is left to try" : text);
}
