import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { streamOf } from "./stream-options.ts";
import type { CloseReason } from "../../src/hub/port.ts";
import type { ClientSession, OpenSession } from "../../src/session/supervisor.ts";
import { ArrayPort } from "./array-port.ts";

/** A session that nobody carries: an array port with a welcome. */
export class FakeSession extends ArrayPort implements ClientSession {
  readonly welcome: ClientSession["welcome"];
  readonly connections = [];
  readonly stats = { inFrames: 0, inBytes: 0, outFrames: 0, outBytes: 0, droppedFrames: 0 };
  readonly codec = undefined;
  readonly udp = undefined;
  onClosed: ((reason: CloseReason) => void) | undefined;
  /** Times that it was put into its data phase. */
  begun = 0;

  constructor(
    name: string,
    options: {
      autoDisconnectS?: number;
      message?: string;
      noSavePassword?: boolean;
      hubId?: Uint8Array;
    } = {},
  ) {
    super(name);
    this.welcome = {
      sessionName: name,
      connectionName: "CID-1",
      sessionKey: new Uint8Array(20),
      stream: streamOf({ connections: 1 }),
      timeoutMs: 20_000,
      policy: {
        ...DEFAULT_POLICY,
        auto_disconnect: options.autoDisconnectS ?? 0,
        no_save_password: options.noSavePassword ?? false,
      },
      message: options.message ?? "",
      hubId: options.hubId,
    };
  }

  get isClosed(): boolean {
    return this.closed !== undefined;
  }

  override close(reason: CloseReason): void {
    if (this.closed !== undefined) return;
    super.close(reason);
    this.onClosed?.(reason);
  }

  open(): OpenSession {
    return {
      session: this,
      server: {
        product: "Patchbay VPN Server",
        version: 502,
        build: 9700,
        address: "192.0.2.1",
        port: 443,
        cipher: "TLSv1.3 TLS_AES_128_GCM_SHA256",
      },
      begin: () => void this.begun++,
    };
  }
}
