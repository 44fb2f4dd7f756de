// All logs of a server: standard error, its file, those of its hubs, and the syslog receiver.
import type { Clock } from "../base/clock.ts";
import { HubLogs, type HubLogContext } from "./hub-logs.ts";
import {
  formatEntry,
  isAtLeast,
  type Log,
  type LogEntry,
  type LogFormat,
  logInto,
  type LogLevel,
} from "./log.ts";
import { LOG_FOLDERS, LogCleaner } from "./log-cleaner.ts";
import { LogFile } from "./log-file.ts";
import { folderNameOf, type LogRotation } from "./log-name.ts";
import type { LogStorage } from "./log-storage.ts";
import { tellSyslogTrouble, tellTrouble } from "./log-trouble.ts";
import type { PacketSink, ServiceName } from "./packet-record.ts";
import { Syslog, type SyslogTrouble } from "./syslog.ts";
import type { OpenSyslogLink } from "./syslog-link.ts";
import type { SyslogSender } from "./syslog-message.ts";
import type { SyslogTarget } from "./syslog-target.ts";

export interface ServerLogsSettings {
  readonly format: LogFormat;
  /** Of standard error, the server's file and syslog; hubs' files have all from `info` on. */
  readonly level: LogLevel;
  /** Undefined: standard error alone. */
  readonly files:
    | {
        /** Absolute. */
        readonly dir: string;
        readonly rotation: LogRotation;
        readonly maxBytes: number;
        readonly keepMs: number;
        readonly minFreeBytes: number;
      }
    | undefined;
  readonly syslog: SyslogTarget | undefined;
  readonly syslogLevel: "server" | "security" | "packet";
}

/** How one hub's logs change files; `off` keeps none. */
export interface HubLogRotation {
  readonly security: LogRotation | "off";
  readonly packetRotation: LogRotation | "off";
}

/** Where hubs have logs of their own. */
export interface HubLogBook {
  /** Opens the logs of a hub, or changes them; gives the place for lines of frames. */
  openHub(name: string, settings: HubLogRotation): PacketSink;
  closeHub(name: string): Promise<void>;
  readonly stats: LogStats;
}

/** Lines of all files, and messages to the syslog receiver. */
export interface LogStats {
  readonly written: number;
  readonly lost: number;
  /** Frames that left no line in a packet log, because there were too many at once. */
  readonly framesLost: number;
  /** Old files that were removed. */
  readonly filesRemoved: number;
  readonly syslog: { readonly sent: number; readonly lost: number } | undefined;
}

export interface ServerLogsDeps {
  readonly clock: Clock;
  readonly storage: LogStorage;
  /** One line, without its end. */
  readonly standardError: (line: string) => void;
  readonly openSyslog: OpenSyslogLink;
  readonly sender: SyslogSender;
  readonly serviceName: ServiceName;
}

interface HubPlace {
  readonly logs: HubLogs;
  settings: HubLogRotation;
}

/** Lines of the time before the place of the files is known. */
const MAX_EARLY_LINES = 256;

/**
 * The log of a server, which never waits for disks or receivers. A line whose field `hub` names a hub of this server goes to
 * that hub's security log as well.
 */
export class ServerLogs implements HubLogBook {
  readonly log: Log;
  readonly #deps: ServerLogsDeps;
  #settings: ServerLogsSettings;
  /** Undefined once the place of the files has been settled. */
  #early: LogEntry[] | undefined = [];
  #file: LogFile | undefined;
  #syslog: Syslog | undefined;
  #cleaner: LogCleaner | undefined;
  /** By lower-case name. */
  readonly #hubs = new Map<string, HubPlace>();
  readonly #context: HubLogContext;
  readonly #closing = new Set<Promise<void>>();
  /** Counts of files, hubs and receivers that are gone. */
  readonly #past = { written: 0, lost: 0, framesLost: 0, filesRemoved: 0, sent: 0, syslogLost: 0 };

  /** Until reconfigure() says where files are, lines go to standard error, and are kept for the file. */
  constructor(first: Pick<ServerLogsSettings, "format" | "level">, deps: ServerLogsDeps) {
    this.#deps = deps;
    this.#settings = { ...first, files: undefined, syslog: undefined, syslogLevel: "server" };
    this.log = logInto(deps.clock, (entry) => this.#put(entry));
    this.#context = {
      serviceName: deps.serviceName,
      format: () => this.#settings.format,
      packetSyslog: () => (this.#settings.syslogLevel === "packet" ? this.#syslog : undefined),
    };
  }

  get stats(): LogStats {
    const past = this.#past;
    const files = this.#files();
    const syslog = this.#syslog;
    const hubs = [...this.#hubs.values()];
    return {
      written: files.reduce((sum, file) => sum + file.written, past.written),
      lost: files.reduce((sum, file) => sum + file.lost, past.lost),
      framesLost: hubs.reduce((sum, { logs }) => sum + logs.framesLost, past.framesLost),
      filesRemoved: past.filesRemoved + (this.#cleaner?.removed ?? 0),
      syslog:
        syslog === undefined
          ? undefined
          : { sent: past.sent + syslog.sent, lost: past.syslogLost + syslog.lost },
    };
  }

  /** Applies other settings; files and connections that they leave alone go on. */
  reconfigure(next: ServerLogsSettings): void {
    this.#settings = next;
    const { files } = next;
    this.#file = this.#keep(this.#file, "server", undefined, files?.rotation ?? "off");
    for (const place of this.#hubs.values()) this.#applyHub(place);
    if (files === undefined) {
      this.#retireCleaner();
    } else if (this.#cleaner === undefined) {
      const { clock, storage } = this.#deps;
      const isOpen = (path: string) => this.#files().some((file) => file.path === path);
      this.#cleaner = new LogCleaner(files, { clock, storage, log: this.log, isOpen });
      void this.#cleaner.clean();
    } else {
      this.#cleaner.reconfigure(files);
    }
    this.#applySyslog(next.syslog);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const entry of early) this.#file?.put(formatEntry(entry, next.format), entry.wall);
  }

  openHub(name: string, settings: HubLogRotation): PacketSink {
    const key = name.toLowerCase();
    let place = this.#hubs.get(key);
    if (place === undefined) {
      place = { logs: new HubLogs(name, this.#context), settings };
      this.#hubs.set(key, place);
    }
    place.settings = settings;
    this.#applyHub(place);
    return place.logs;
  }

  async closeHub(name: string): Promise<void> {
    const key = name.toLowerCase();
    const place = this.#hubs.get(key);
    if (place === undefined) return;
    this.#hubs.delete(key);
    const { logs } = place;
    this.#past.framesLost += logs.framesLost;
    await Promise.all([this.#retire(logs.security), this.#retire(logs.packets)]);
    // Frames may still be on their way into a hub that is being closed.
    logs.security = logs.packets = undefined;
  }

  /** Opens all files anew with their next line (SIGUSR1). */
  reopen(): void {
    for (const file of this.#files()) file.reopen();
  }

  /** Writes and sends what waits, for LOG_CLOSE_MS at most. */
  async close(): Promise<void> {
    this.#retireCleaner();
    const syslog = this.#syslog;
    this.#syslog = undefined;
    const hubs = [...this.#hubs.keys()].map((name) => this.closeHub(name));
    await Promise.all([this.#retire(this.#file), syslog?.close(), ...hubs, ...this.#closing]);
  }

  #put(entry: LogEntry): void {
    const { level, format, syslogLevel } = this.#settings;
    const isTold = isAtLeast(entry.level, level);
    const hub = entry.fields["hub"];
    const place = typeof hub === "string" ? this.#hubs.get(hub.toLowerCase()) : undefined;
    const isForHub = place !== undefined && isAtLeast(entry.level, "info");
    if (!isTold && !isForHub) return;
    const line = formatEntry(entry, format);
    if (isForHub) place.logs.note(entry, line);
    if (!isTold) return;
    this.#deps.standardError(line);
    this.#file?.put(line, entry.wall);
    if (this.#early !== undefined && this.#early.length < MAX_EARLY_LINES) this.#early.push(entry);
    if (place === undefined || syslogLevel !== "server") this.#syslog?.send(entry);
  }

  #applyHub({ logs, settings }: HubPlace): void {
    logs.security = this.#keep(logs.security, "security", logs.name, settings.security);
    logs.packets = this.#keep(logs.packets, "packet", logs.name, settings.packetRotation);
  }

  /** The file as the settings want it: made, changed, or gone. */
  #keep(
    file: LogFile | undefined,
    kind: keyof typeof LOG_FOLDERS,
    hub: string | undefined,
    rotation: LogRotation | "off",
  ): LogFile | undefined {
    const { files } = this.#settings;
    if (files === undefined || rotation === "off") {
      if (file !== undefined) this.#follow(this.#retire(file));
      return undefined;
    }
    const { folder, prefix } = LOG_FOLDERS[kind];
    const below = hub === undefined ? folder : `${folder}/${folderNameOf(hub)}`;
    const settings = {
      folder: `${files.dir}/${below}`,
      prefix,
      rotation,
      maxBytes: files.maxBytes,
    };
    if (file === undefined) {
      const { clock, storage } = this.#deps;
      return new LogFile(settings, {
        clock,
        storage,
        onTrouble: (trouble) => tellTrouble(this.log, trouble),
      });
    }
    file.reconfigure(settings);
    return file;
  }

  #applySyslog(target: SyslogTarget | undefined): void {
    const old = this.#syslog;
    if (old !== undefined && target !== undefined && isSameTarget(old.target, target)) return;
    if (old !== undefined) {
      this.#follow(
        old.close().then(() => {
          this.#past.sent += old.sent;
          this.#past.syslogLost += old.lost;
        }),
      );
    }
    const { clock, sender, openSyslog: open } = this.#deps;
    const onTrouble = (trouble: SyslogTrouble) => tellSyslogTrouble(this.log, trouble);
    this.#syslog = target && new Syslog(target, { clock, sender, open, onTrouble });
  }

  #files(): LogFile[] {
    const hubs = [...this.#hubs.values()].flatMap(({ logs }) => [logs.security, logs.packets]);
    return [this.#file, ...hubs].filter((file) => file !== undefined);
  }

  async #retire(file: LogFile | undefined): Promise<void> {
    if (file === undefined) return;
    await file.close();
    this.#past.written += file.written;
    this.#past.lost += file.lost;
  }

  #retireCleaner(): void {
    this.#past.filesRemoved += this.#cleaner?.removed ?? 0;
    this.#cleaner?.close();
    this.#cleaner = undefined;
  }

  #follow(task: Promise<void>): void {
    this.#closing.add(task);
    void task.finally(() => this.#closing.delete(task));
  }
}

function isSameTarget(a: SyslogTarget, b: SyslogTarget): boolean {
  return a.protocol === b.protocol && a.host === b.host && a.port === b.port;
}
