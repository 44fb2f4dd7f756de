// A hub's port to an interface of this machine: opened when the interface is there, and again after it was gone.
import type { Clock, Timer } from "../base/clock.ts";
import { SystemError, VpnError } from "../base/errors.ts";
import { MAC_ZERO, type MacAddress } from "../base/mac.ts";
import type { BridgeConfig } from "../config/bridge-shape.ts";
import type { CloseReason } from "../hub/port.ts";
import type { Link } from "../platform/link.ts";
import type { Poller } from "../platform/poller.ts";
import { DevicePort } from "./device-port.ts";
import { addDeviceStats, emptyDeviceStats, type DeviceStats } from "./device-stats.ts";
import { type BridgeDevice, type Machine, thisMachine } from "./open-device.ts";

/** Between two attempts to open an interface that is not there or cannot be opened (hub.md 14.1). */
const RETRY_MS = 1000;

const OPERATING = "";
const CLOSED: CloseReason = { code: "bridge_closed" };

/** The plug in the hub that a port is in. */
export interface BridgePlug {
  /** SID-LOCALBRIDGE-2 */
  readonly session: string;
  unplug(): void;
}

export interface BridgeEvents {
  /** The interface is open. */
  operating(bridge: LocalBridge): void;
  /** It cannot be opened, or is lost; told once for each text. */
  failed(bridge: LocalBridge, problem: string): void;
}

export interface LocalBridgeDeps {
  readonly clock: Clock;
  readonly poller: Poller;
  readonly events: BridgeEvents;
  /** Of a TAP for which the configuration names none. */
  readonly mac: () => MacAddress;
  /** Plugs a port that has just been opened into the hub. */
  readonly plug: (port: DevicePort) => BridgePlug;
  readonly machine?: Machine;
}

interface Open {
  readonly at: BridgeDevice;
  readonly port: DevicePort;
  readonly plug: BridgePlug;
}

export class LocalBridge {
  readonly config: BridgeConfig;
  readonly #deps: LocalBridgeDeps;
  readonly #machine: Machine;
  /** Of ports that are closed. */
  readonly #past = emptyDeviceStats();
  #open: Open | undefined;
  #problem: string | undefined;
  /** What the events were told last: a problem, or that it operates. */
  #told: string | undefined;
  #retry: Timer | undefined;
  #refusesOwnDhcp: boolean;
  /** Of the interface: it may be given another MAC. */
  #station: MacAddress = MAC_ZERO;
  #isClosed = false;

  /** @param refusesOwnDhcp DHCP messages of the interface's own station do not pass (hub.md 14.2) */
  constructor(config: BridgeConfig, refusesOwnDhcp: boolean, deps: LocalBridgeDeps) {
    this.config = config;
    this.#deps = deps;
    this.#machine = deps.machine ?? thisMachine;
    this.#refusesOwnDhcp = refusesOwnDhcp;
    this.#try();
  }

  /** What is wrong, undefined while frames pass. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Of the session in the hub, while there is one. */
  get session(): string | undefined {
    return this.#open?.plug.session;
  }

  /** All ports that this bridge has had. */
  get stats(): DeviceStats {
    const sum = emptyDeviceStats();
    addDeviceStats(sum, this.#past);
    if (this.#open !== undefined) addDeviceStats(sum, this.#open.port.stats);
    return sum;
  }

  refuseOwnDhcp(refuses: boolean): void {
    this.#refusesOwnDhcp = refuses;
    this.#filter(this.#station);
  }

  /** Looks whether the interface is still what it was: something has changed in this machine. */
  look(): void {
    if (this.#isClosed) return;
    if (this.#open === undefined) return this.#try();
    const { device } = this.config;
    let link: Link | undefined;
    try {
      link = this.#machine.link(device);
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      // It goes on as it is: whoever reads it learns of its end.
      return;
    }
    if (link?.index !== this.#open.at.index)
      return this.#lost(`Interface ${device} is gone, or is another one by now`);
    if (link.mac !== this.#station) this.#filter(link.mac);
    if (this.#open === undefined) return;
    if (link.isUp) this.#operates();
    else this.#fails(`Interface ${device} is down: ip link set ${device} up`);
  }

  /** May be called twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#release();
  }

  #try(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    let at: BridgeDevice | undefined;
    let port: DevicePort | undefined;
    try {
      at = this.#machine.open(this.config, this.#deps.mac);
      port = new DevicePort({
        device: at.device,
        poller: this.#deps.poller,
        onClosed: ({ detail }) => this.#lost(`Cannot read interface ${detail}`),
      });
      this.#open = { at, port, plug: this.#deps.plug(port) };
    } catch (thrown) {
      if (port === undefined) at?.device.close();
      port?.close(CLOSED);
      // What the system refuses now it may allow later; all else is a fault of this program.
      if (!(thrown instanceof VpnError)) throw thrown;
      return this.#lost(thrown.message);
    }
    this.#filter(at.station);
    if (this.#open !== undefined) this.#operates();
  }

  /** Keeps DHCP messages of the station back, where they are to be. */
  #filter(station: MacAddress): void {
    this.#station = station;
    if (this.#open === undefined) return;
    const { at, port } = this.#open;
    const refused = this.#refusesOwnDhcp && at.isShared ? station : undefined;
    try {
      at.refuseDhcp(refused);
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      return this.#lost(thrown.message);
    }
    port.refuseDhcp(refused);
  }

  #lost(problem: string): void {
    if (this.#isClosed) return;
    this.#release();
    this.#fails(problem);
    this.#retry?.cancel();
    this.#retry = this.#deps.clock.after(RETRY_MS, () => this.#try());
  }

  #release(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.plug.unplug();
    open.port.close(CLOSED);
    addDeviceStats(this.#past, open.port.stats);
  }

  #operates(): void {
    this.#problem = undefined;
    if (this.#told === OPERATING) return;
    this.#told = OPERATING;
    this.#deps.events.operating(this);
  }

  #fails(problem: string): void {
    this.#problem = problem;
    if (this.#told === problem) return;
    this.#told = problem;
    this.#deps.events.failed(this, problem);
  }
}
