import type { Clock } from "../base/clock.ts";
import { ProtocolError, RefusedError, VpnError, WIRE_ERROR } from "../base/errors.ts";
import { MAX_ANSWER_TO_CLIENT, MAX_NOOPS_BEFORE_LOGIN, MAX_PACK_ELEMENTS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { HttpReader, type HttpMessage } from "../transport/http-message.ts";
import type { Link } from "../transport/tls-link.ts";
import { Pack } from "../wire/pack.ts";
import { isNoop, isPackReply, packRequest } from "./handshake.ts";
import { refusalText } from "./refusal.ts";

/** A reply must come within this time (protocol.md 2.5), in milliseconds. */
const REPLY_MS = 15_000;

export interface TalkDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** The client's side of requests and replies in turn on a fresh link, before it carries the stream. */
export class Talk {
  readonly #link: Link;
  readonly #deps: TalkDeps;
  readonly #reader = new HttpReader(() => MAX_ANSWER_TO_CLIENT);
  #ended: Error | undefined;
  #wake: () => void = () => {};
  /** The connection is lost, whether or not somebody awaits a reply. */
  onEnded: ((error: Error) => void) | undefined;
  readonly #onAbort = () => this.#end(new VpnError("cancelled", "Cancelled"));

  constructor(link: Link, deps: TalkDeps) {
    this.#link = link;
    this.#deps = deps;
    link.handler = {
      data: (chunk) => {
        try {
          this.#reader.push(chunk);
          this.#wake();
        } catch (error) {
          this.#end(error as Error);
        }
      },
      drain: () => {},
      closed: (reason) =>
        this.#end(new VpnError("disconnected", `The server closed the connection (${reason})`)),
    };
    deps.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  askPack(host: string, pack: Pack): Promise<Pack> {
    return this.ask(this.#request(host, pack));
  }

  /** Sends a PACK that nobody answers. */
  tell(host: string, pack: Pack): void {
    this.#link.write(this.#request(host, pack));
  }

  #request(host: string, pack: Pack): Uint8Array {
    const { random, clock } = this.#deps;
    return packRequest(host, pack, { random, wall: clock.wall() });
  }

  /** @throws RefusedError when the answer carries an error number. */
  async ask(request: Uint8Array): Promise<Pack> {
    if (this.#link.write(request) !== request.length) {
      throw new VpnError("disconnected", "The server does not take what we send");
    }
    let pack = await this.#nextPack();
    // A server says so while somebody else takes his time over the password (protocol.md 3.6).
    for (let noops = 0; isNoop(pack); noops++) {
      if (noops === MAX_NOOPS_BEFORE_LOGIN) {
        throw new VpnError("timeout", "The server only says that it is busy");
      }
      pack = await this.#nextPack();
    }
    const error = pack.int("error") ?? WIRE_ERROR.NONE;
    if (error !== WIRE_ERROR.NONE) throw new RefusedError(error, refusalText(error));
    return pack;
  }

  /** What came of the stream behind the last reply. */
  finish(): Uint8Array {
    return this.#reader.takeRest();
  }

  release(): void {
    this.#deps.signal.removeEventListener("abort", this.#onAbort);
  }

  async #nextPack(): Promise<Pack> {
    const { head, body } = await this.#nextMessage();
    if (!isPackReply(head)) {
      throw new VpnError(
        "not_vpn_server",
        `This is not a VPN server: it answered "${head.second}"`,
      );
    }
    return Pack.parse(body, { maxElements: MAX_PACK_ELEMENTS });
  }

  async #nextMessage(): Promise<HttpMessage> {
    const deadline = this.#deps.clock.after(REPLY_MS, () =>
      this.#end(new VpnError("timeout", "The server does not answer")),
    );
    try {
      for (;;) {
        if (this.#ended !== undefined) throw this.#ended;
        const message = this.#reader.next();
        if (message !== undefined) return message;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } catch (error) {
      if (error instanceof ProtocolError) {
        throw new VpnError("not_vpn_server", `This is not a VPN server: ${error.message}`);
      }
      throw error;
    } finally {
      deadline.cancel();
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#wake();
    this.onEnded?.(error);
  }
}
