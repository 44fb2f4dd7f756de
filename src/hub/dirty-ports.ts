import { MAX_UNFLUSHED_PORTS } from "../base/limits.ts";
import type { HubPort } from "./hub-port.ts";

/** Ports that were given frames and want a flush when the event is over. */
export class DirtyPorts {
  private readonly ports: HubPort[] = [];
  private isFlushing = false;

  add(port: HubPort): void {
    if (port.isDirty) return;
    if (this.ports.length >= MAX_UNFLUSHED_PORTS) this.flush();
    port.isDirty = true;
    this.ports.push(port);
  }

  /** Ports that become dirty meanwhile are flushed by the same call. */
  flush(): void {
    if (this.isFlushing) return;
    this.isFlushing = true;
    try {
      for (let i = 0; i < this.ports.length; i += 1) {
        const port = this.ports[i]!;
        port.isDirty = false;
        if (port.isAttached) port.flushCable();
      }
    } finally {
      // Also after a port has thrown: it must not keep the others from being flushed ever again.
      for (const port of this.ports) port.isDirty = false;
      this.ports.length = 0;
      this.isFlushing = false;
    }
  }
}
