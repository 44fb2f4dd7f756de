import type { L3SwitchConfig } from "../../src/config/l3-switch-config.ts";
import type { StartMemory } from "../../src/l3-switch/start-memory.ts";

/** What was said about layer 3 switches, for as long as the test goes on. */
export class MapStartMemory implements StartMemory {
  readonly wishes = new Map<string, boolean>();
  wish = ({ name }: L3SwitchConfig) => this.wishes.get(name);
  setWish = ({ name }: L3SwitchConfig, running: boolean) => void this.wishes.set(name, running);
}
