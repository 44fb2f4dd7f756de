import { VpnError } from "../base/errors.ts";
import { createStateDir } from "../config/state-dir.ts";
import type { CloseReason } from "../hub/port.ts";
import { loadVerifyMode } from "../session/verify.ts";
import { Client, type ClientDeps, type ClientOptions } from "./client.ts";
import { openControl } from "./control.ts";
import { loadMac } from "./identity.ts";
import type { VirtualNic } from "./nic.ts";
import { inTurn } from "./start-turn.ts";

/**
 * Makes the adapter and the socket of an account. `run` connects it.
 * @throws ExitError 75 where the account is connected already, 66 for a certificate file that is not there;
 * SystemError where the adapter cannot be made
 */
export async function openClient(options: ClientOptions, deps: ClientDeps): Promise<Client> {
  createStateDir(options.stateDir);
  return inTurn(options.stateDir, deps.clock, () => openInTurn(options, deps));
}

async function openInTurn(options: ClientOptions, deps: ClientDeps): Promise<Client> {
  const { resolved, stateDir, tempDir } = options;
  const verifyMode = loadVerifyMode(resolved.account.verify);
  const mac = resolved.nic.mac ?? loadMac(stateDir, resolved.nic.device, deps.random);
  const client = new Client(options, deps, verifyMode, mac);
  const control = await openControl(
    { stateDir, tempDir, name: resolved.name, clock: deps.clock },
    { status: () => client.status(), disconnect: () => void client.stop() },
  );
  let nic: VirtualNic | undefined;
  try {
    const { device, mtu } = resolved.nic;
    const onLost = (reason: CloseReason) => client.fail(nicLoss(reason));
    nic = deps.openNic({ device, mtu, mac, onLost });
    const { account } = resolved;
    const host = await deps.openHostSettings?.({
      ...options,
      name: resolved.name,
      account,
      nic: resolved.nic,
      clock: deps.clock,
    });
    client.attach(control, nic, host);
  } catch (error) {
    nic?.close();
    control.close();
    throw error;
  }
  return client;
}

/** The interface was deleted under us: there is nothing to plug a session into. */
function nicLoss(reason: CloseReason): VpnError {
  const detail = reason.detail === undefined ? "" : `: ${reason.detail}`;
  return new VpnError(reason.code, `The network interface is gone${detail}`);
}
