import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadClientConfig, type LoadedClient, type OpenedState } from "../config/load.ts";
import { createStateDir } from "../config/state-dir.ts";
import { openStateStore, type StateStore } from "../config/state-store.ts";
import type { CommandEnvironment } from "./environment.ts";
import { loadOptions, stateDirFor } from "./state-dir.ts";

interface PlaceFlags {
  readonly config: string | undefined;
  readonly stateDir: string | undefined;
}

/** The accounts and NICs of this machine: what client.toml declares and what commands keep. */
export interface ClientSetup extends LoadedClient {
  readonly stateDir: string;
  /** May be called twice. */
  close(): void;
}

/** As `openSetup`, with a database to write to. */
export interface WritableSetup extends ClientSetup {
  readonly store: StateStore;
}

/** Nothing is made on disk. @throws ConfigProblemsError, and what `openStateStore` throws */
export function openSetup(environment: CommandEnvironment, flags: PlaceFlags): ClientSetup {
  return open(environment, flags, (dir) =>
    existsSync(join(dir, "state.db")) ? openStateStore(dir, environment) : undefined,
  );
}

/** Makes the state directory and its database where they are not there. */
export function openWritableSetup(
  environment: CommandEnvironment,
  flags: PlaceFlags,
): WritableSetup {
  let store: StateStore | undefined;
  const setup = open(environment, flags, (dir) => {
    createStateDir(dir);
    return (store = openStateStore(dir, environment));
  });
  if (store === undefined) throw new Error("the database was not opened");
  return { ...setup, store };
}

function open(
  environment: CommandEnvironment,
  flags: PlaceFlags,
  openStore: (stateDir: string) => StateStore | undefined,
): ClientSetup {
  let stateDir = "";
  let store: StateStore | undefined;
  const openState = (configured: string | undefined): OpenedState | undefined => {
    stateDir = stateDirFor("client", environment, flags.stateDir, configured);
    store = openStore(stateDir);
    return store === undefined ? undefined : { store, path: join(stateDir, "state.db") };
  };
  try {
    const loaded = loadClientConfig(loadOptions(environment, flags.config), openState);
    return { ...loaded, stateDir, close: () => store?.close() };
  } catch (error) {
    store?.close();
    throw error;
  }
}
