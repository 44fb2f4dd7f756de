import type { udp } from "bun";

type Socket = udp.Socket<"buffer">;

/** A sender that nobody knows; it counts what comes back. */
export interface Stranger {
  readonly port: number;
  readonly answers: number;
  send(datagram: Uint8Array): void;
}

/** Stands between two ends on the loop-back net and does to their datagrams what networks do. */
export class Relay {
  drops: (datagram: Uint8Array) => boolean = () => false;
  flips: () => boolean = () => false;
  shuffles: () => boolean = () => false;
  copiesOf: () => number = () => this.copies;
  copies = 1;
  /** Keeps what the client sends. */
  holds = false;
  readonly held: Uint8Array[] = [];
  #toClient!: Socket;
  #toServer!: Socket;
  #ports = { client: 0, server: 0 };
  #passed = 0;
  #late: (() => void) | undefined;
  readonly #strangers: Socket[] = [];

  /** Its ports as the client and as the server sees them. */
  get clientSide(): number {
    return this.#toClient.port;
  }

  get serverSide(): number {
    return this.#toServer.port;
  }

  static async open(): Promise<Relay> {
    const relay = new Relay();
    const socket = (data: (bytes: Uint8Array) => void) =>
      Bun.udpSocket({
        hostname: "127.0.0.1",
        binaryType: "buffer",
        socket: { data: (_, bytes) => data(new Uint8Array(bytes)) },
      });
    relay.#toClient = await socket((bytes) => {
      if (relay.holds) relay.held.push(bytes);
      else relay.#pass(bytes, () => relay.#toServer, "127.0.0.2", relay.#ports.server);
    });
    relay.#toServer = await socket((bytes) =>
      relay.#pass(bytes, () => relay.#toClient, "127.0.0.1", relay.#ports.client),
    );
    return relay;
  }

  connect(ports: { client: number; server: number }): void {
    this.#ports = ports;
  }

  #pass(bytes: Uint8Array, by: () => Socket, address: string, port: number): void {
    this.#passed += 1;
    if (this.drops(bytes)) return;
    if (this.flips()) bytes[(bytes.length * 7) >> 3]! ^= 4;
    const copies = this.copiesOf();
    const forward = () => {
      for (let n = 0; n < copies; n += 1) by().send(bytes, port, address);
    };
    const late = this.#late;
    this.#late = undefined;
    if (late === undefined && this.shuffles()) this.#late = forward;
    else forward();
    late?.();
  }

  /** Sends what was held, to the server. */
  release(): void {
    for (const bytes of this.held.splice(0)) {
      this.#toServer.send(bytes, this.#ports.server, "127.0.0.2");
    }
  }

  /** Until nothing has passed for a moment: the kernel delivers on the loop-back net at once. */
  async quiet(): Promise<void> {
    for (let before = -1, turns = 0; before !== this.#passed || turns < 4; turns += 1) {
      before = this.#passed;
      await Bun.sleep(1);
    }
  }

  async stranger(): Promise<Stranger> {
    let answers = 0;
    const socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: () => void (answers += 1) },
    });
    this.#strangers.push(socket as Socket);
    const { server } = this.#ports;
    return {
      port: socket.port,
      get answers() {
        return answers;
      },
      send: (datagram) => void socket.send(datagram, server, "127.0.0.2"),
    };
  }

  close(): void {
    for (const socket of [this.#toClient, this.#toServer, ...this.#strangers]) socket.close();
  }
}
