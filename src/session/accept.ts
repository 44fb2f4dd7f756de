import type { OutsideWait } from "../auth/authority.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { ProtocolError, WIRE_ERROR } from "../base/errors.ts";
import {
  MAX_BODY_BEFORE_LOGIN,
  MAX_NOOPS_BEFORE_LOGIN,
  MAX_PACK_ELEMENTS_BEFORE_LOGIN,
  MAX_REQUESTS_BEFORE_LOGIN,
  MAX_SIGNATURE_BYTES,
  NOOP_EXTENSION_MS,
} from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { HttpReader, type HttpHead, type HttpMessage } from "../transport/http-message.ts";
import type { Link, LinkHandler } from "../transport/tls-link.ts";
import { Pack } from "../wire/pack.ts";
import { Batch } from "./batch.ts";
import type { Direction } from "./connection.ts";
import {
  CHALLENGE_BYTES,
  checkSignature,
  encodeHello,
  isNoop,
  isPackRequest,
  NOOP,
  packReply,
  SERVER_PRODUCT,
  SIGNATURE_PATH,
  WIRE_BUILD,
  WIRE_VERSION,
} from "./handshake.ts";
import { LoginWait } from "./login-wait.ts";
import { parseLogin, type LoginRequest } from "./login.ts";
import {
  DETECTION_PAGE,
  NO_CLIENT_PAGE,
  NOTHING_HERE_PAGE,
  pageReply,
  refuseHead,
  type Page,
} from "./page.ts";
import type { Session } from "./session.ts";
import { encodeWelcome } from "./welcome.ts";

// What a server hears on a connection before its data phase (protocol.md 2.4, 3, 5). Stages:
//
//   greeting   GET / (detection), other pages, until the signature: answered with the hello
//   method     one PACK: login, additional_connect, enum_hub, password; then the stream begins or the connection ends

/** Whom the conversation asks; the server behind it knows hubs and users. */
export interface Reception {
  /** Judges a login and opens its session, or answers an error number of protocol.md 8. */
  login(
    request: LoginRequest,
    challenge: Uint8Array,
    link: Link,
    wait: OutsideWait,
  ): Promise<Session | number>;
  /** The session that an additional connection may join, or an error number. */
  join(sessionKey: Uint8Array, link: Link): Session | number;
  /** Hubs that strangers may know of. */
  listHubs(): readonly string[];
  /** Something went wrong on our side while a login was judged. */
  failed(error: unknown): void;
  /** The conversation is over: in the data phase, or for this reason. */
  settled(conversation: Conversation, outcome: string): void;
}

export interface ConversationLimits {
  readonly tlsHandshakeMs: number;
  readonly firstRequestMs: number;
  readonly loginMs: number;
}

/** One connection from accept to the start of its stream, held to its deadlines from the first moment. */
export class Conversation implements LinkHandler {
  readonly link: Link;
  readonly acceptedAt: number;
  readonly #deps: { clock: Clock; random: Random; limits: ConversationLimits };
  readonly #reception: Reception;
  readonly #reader = new HttpReader(bodyLimit);
  readonly #out: Batch;
  #deadline: Timer;
  #loginAllowedMs: number;
  #challenge: Uint8Array | undefined;
  #hasRequest = false;
  #requests = 0;
  #noops = 0;
  /** True while an answer is being found elsewhere: later requests wait their turn. */
  #busy = false;
  #wait: LoginWait | undefined;
  #heldSince = 0;
  #over = false;

  constructor(
    link: Link,
    reception: Reception,
    deps: { clock: Clock; random: Random; limits: ConversationLimits },
  ) {
    this.link = link;
    this.#reception = reception;
    this.#deps = deps;
    this.#out = new Batch(link);
    this.acceptedAt = deps.clock.now();
    this.#loginAllowedMs = deps.limits.loginMs;
    this.#deadline = deps.clock.after(deps.limits.tlsHandshakeMs, () => this.#fail("tls_timeout"));
    link.handler = this;
  }

  /** TLS is up: the first request is awaited now. */
  secured(): void {
    if (this.#over) return;
    this.#waitUntil(this.#deps.limits.firstRequestMs, "request_timeout");
  }

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#reader.push(chunk);
      if (this.#busy && this.#reader.waitingBytes > MAX_BODY_BEFORE_LOGIN) {
        throw new ProtocolError("too_much_early", "more than a request while a login is judged");
      }
      this.#proceed();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(error.code);
    }
  }

  drain(): void {
    this.#out.drained();
  }

  closed(reason: string): void {
    this.#settle(reason);
  }

  /** Ends the conversation from outside: the server stops. */
  end(): void {
    if (this.#over) return;
    this.#settle("server_stopping");
    this.link.closeInOrder();
  }

  #proceed(): void {
    while (!this.#busy && !this.#over) {
      const message = this.#reader.next();
      const head = message?.head ?? this.#reader.head;
      if (head === undefined) return;
      this.#awaitLogin();
      const refusal = refuseHead(head);
      if (refusal !== undefined) return this.#turnAway(refusal, head);
      if (message === undefined) return;
      if (++this.#requests > MAX_REQUESTS_BEFORE_LOGIN + this.#noops) {
        throw new ProtocolError("too_many_requests", "too many requests");
      }
      if (this.#challenge === undefined) this.#greet(message);
      else this.#answerMethod(message);
    }
  }

  // Greeting.

  #greet({ head, body }: HttpMessage): void {
    const method = head.first.toUpperCase();
    const path = head.second.toLowerCase();
    if (method === "POST" && path === SIGNATURE_PATH) return this.#signature(head, body);
    if (isPackRequest(head)) throw new ProtocolError("no_signature", "a PACK before the signature");
    const isFront = path === "/" && (method === "GET" || method === "HEAD");
    this.#page(isFront ? DETECTION_PAGE : NOTHING_HERE_PAGE, head);
  }

  #signature(head: HttpHead, body: Uint8Array): void {
    if (checkSignature(body) !== "good") return this.#turnAway(NO_CLIENT_PAGE, head);
    this.#challenge = this.#deps.random.bytes(CHALLENGE_BYTES);
    this.#reply(
      encodeHello({
        product: SERVER_PRODUCT,
        version: WIRE_VERSION,
        build: WIRE_BUILD,
        random: this.#challenge,
      }),
    );
  }

  // Method.

  #answerMethod({ head, body }: HttpMessage): void {
    if (!isPackRequest(head)) return this.#refuse(WIRE_ERROR.DISCONNECTED, "no_pack");
    const pack = Pack.parse(body, { maxElements: MAX_PACK_ELEMENTS_BEFORE_LOGIN });
    if (isNoop(pack)) return this.#noop(pack);
    switch (pack.str("method")) {
      case "login":
        return this.#login(pack);
      case "additional_connect":
        return this.#join(pack);
      case "enum_hub":
        return this.#enumHub();
      case "password":
        // Passwords are what the configuration says: policy FixPassword holds for everybody (protocol.md 11.2).
        return this.#refuse(WIRE_ERROR.NOT_ENOUGH_RIGHT, "password_fixed");
      default:
        return this.#refuse(WIRE_ERROR.PROTOCOL_ERROR, "unsupported_method");
    }
  }

  #login(pack: Pack): void {
    const request = parseLogin(pack);
    if (request === undefined) return this.#refuse(WIRE_ERROR.PROTOCOL_ERROR, "login_form");
    const challenge = this.#challenge!;
    this.#busy = true;
    this.#wait = this.#openWait(request);
    this.#reception
      .login(request, challenge, this.link, this.#wait)
      .then((verdict) => {
        this.#busy = false;
        if (typeof verdict === "number") return this.#refuse(verdict, `refused_${verdict}`);
        if (this.#over) return verdict.close({ code: "client_gone" });
        const direction = verdict.nextDirection();
        if (this.#begin(verdict, direction, encodeWelcome(verdict.welcome))) return;
        verdict.close({ code: "no_progress" });
      })
      .catch((error: unknown) => {
        this.#reception.failed(error);
        this.#fail("internal_error");
      });
  }

  #openWait(request: LoginRequest): LoginWait {
    const { clock } = this.#deps;
    const waiting = {
      clock,
      send: (pack: Pack) => this.#reply(pack),
      holdDeadline: () => {
        this.#heldSince = clock.now();
        this.#deadline.cancel();
      },
      goOn: () => {
        this.#loginAllowedMs += clock.now() - this.#heldSince;
        this.#waitUntil(this.#loginAllowedMs, "login_timeout");
      },
    };
    return new LoginWait(waiting, request);
  }

  #join(pack: Pack): void {
    const verdict = this.#reception.join(pack.data("session_key") ?? new Uint8Array(0), this.link);
    if (typeof verdict === "number") return this.#refuse(verdict, `refused_${verdict}`);
    const direction = verdict.nextDirection();
    const reply = new Pack().setInt("error", WIRE_ERROR.NONE).setInt("direction", direction);
    this.#begin(verdict, direction, reply);
  }

  #enumHub(): void {
    const names = this.#reception.listHubs();
    const pack = new Pack().setInt("NumHub", names.length);
    if (names.length > 0) pack.setStr("HubName", ...names);
    this.#reply(pack);
    this.#leave("enum_hub");
  }

  #noop(pack: Pack): void {
    if (++this.#noops > MAX_NOOPS_BEFORE_LOGIN) {
      throw new ProtocolError("too_many_requests", "too many NOOPs");
    }
    this.#loginAllowedMs += NOOP_EXTENSION_MS;
    this.#waitUntil(this.#loginAllowedMs, "login_timeout");
    if (pack.int("noop") !== NOOP.ASKING) return;
    this.#reply(new Pack().setInt("error", WIRE_ERROR.NONE).setInt("noop", NOOP.ANSWERING));
  }

  // Ends.

  /**
   * The stream begins with the very next byte, of which some may have come already. False if it cannot: the
   * peer has read so little that the reply is still here, so it would not read the stream either.
   */
  #begin(session: Session, direction: Direction, reply: Pack): boolean {
    this.#reply(reply);
    if (this.#out.isBlocked) {
      this.#fail("no_progress");
      return false;
    }
    this.#settle("data");
    if (!session.welcome.stream.isEncrypted) this.link.leaveTls();
    session.join(this.link, direction, this.#reader.takeRest());
    return true;
  }

  #refuse(error: number, outcome: string): void {
    if (this.#over) return;
    this.#reply(new Pack().setInt("error", error).setBool("no_save_password", false));
    this.#leave(outcome);
  }

  #page(page: Page, to: HttpHead): void {
    this.#out.send(pageReply(page, to, this.#deps.clock.wall()));
  }

  #turnAway(page: Page, head: HttpHead): void {
    this.#page(page, head);
    this.#leave("not_vpn");
  }

  #reply(pack: Pack): void {
    const { random, clock } = this.#deps;
    this.#out.send(packReply(pack, { random, wall: clock.wall() }));
  }

  /** A challenge is good for one try, so after an answer there is nothing left to say. */
  #leave(outcome: string): void {
    this.#settle(outcome);
    this.link.closeInOrder();
  }

  #fail(reason: string): void {
    if (this.#over) return;
    this.#settle(reason);
    this.link.abort(reason);
  }

  #settle(outcome: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#wait?.abandon();
    this.#deadline.cancel();
    this.#out.close();
    this.#reception.settled(this, outcome);
  }

  /** Somebody talks: from the first whole head on the login has its time, however slow the body is. */
  #awaitLogin(): void {
    if (this.#hasRequest) return;
    this.#hasRequest = true;
    this.#waitUntil(this.#loginAllowedMs, "login_timeout");
  }

  /** Deadlines run from accept, so that no trickle moves them. */
  #waitUntil(sinceAcceptMs: number, reason: string): void {
    this.#deadline.cancel();
    const left = this.acceptedAt + sinceAcceptMs - this.#deps.clock.now();
    this.#deadline = this.#deps.clock.after(Math.max(0, left), () => this.#fail(reason));
  }
}

/** Most bytes of a body: a signature is short, any other page has none that we read. */
function bodyLimit(head: HttpHead): number {
  if (head.second.toLowerCase() === SIGNATURE_PATH) return MAX_SIGNATURE_BYTES;
  return MAX_BODY_BEFORE_LOGIN;
}
