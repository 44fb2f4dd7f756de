import type { ExitCode } from "../base/errors.ts";
import type { CommandEnvironment } from "./environment.ts";

// How a command describes itself, in words of ours: application.ts turns this into what its library wants.

/** On or off. */
export interface SwitchFlag {
  readonly kind: "switch";
  readonly brief: string;
}
/** On, off with `no-` before its name, or left to what holds without it. */
export interface TernaryFlag {
  readonly kind: "ternary";
  readonly brief: string;
}
/** Takes a value; `parse` throws an Error that says what was expected. */
export interface ValueFlag<T> {
  readonly kind: "value";
  readonly brief: string;
  readonly placeholder: string;
  readonly parse: (text: string) => T;
}
/** Takes one of a few words. */
export interface ChoiceFlag<T extends string> {
  readonly kind: "choice";
  readonly brief: string;
  readonly values: readonly T[];
}
export type Flag = SwitchFlag | TernaryFlag | ValueFlag<unknown> | ChoiceFlag<string>;
/** Keyed by the name in camel case; people write it with hyphens. */
export type Flags = Readonly<Record<string, Flag>>;

/** What a command gets: absent flags are undefined, switches false. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends ValueFlag<infer T>
    ? T | undefined
    : F[K] extends ChoiceFlag<infer T>
      ? T | undefined
      : F[K] extends TernaryFlag
        ? boolean | undefined
        : boolean;
};

export interface Argument {
  readonly placeholder: string;
  readonly brief: string;
  readonly isOptional: boolean;
  /** Any number of them; then it is the only argument of its command. */
  readonly isRepeated?: boolean;
}

/** The work of a command; its answer is the exit code. Arguments that were not given are undefined. */
export type CommandWork<F extends Flags> = (
  environment: CommandEnvironment,
  flags: FlagValues<F>,
  ...args: (string | undefined)[]
) => Promise<ExitCode>;

export interface Command {
  readonly kind: "command";
  readonly brief: string;
  readonly examples: readonly string[];
  readonly flags: Flags;
  readonly args: readonly Argument[];
  /** Loads the command's module: one command's start does not wait for the code of the others. */
  readonly load: () => Promise<CommandWork<Flags>>;
}

export interface CommandGroup {
  readonly kind: "group";
  readonly brief: string;
  readonly commands: CommandTable;
}

export type CommandTable = Readonly<Record<string, Command | CommandGroup>>;

export function toggle(brief: string): SwitchFlag {
  return { kind: "switch", brief };
}

export function ternary(brief: string): TernaryFlag {
  return { kind: "ternary", brief };
}

export function value<T>(
  placeholder: string,
  brief: string,
  parse: (text: string) => T,
): ValueFlag<T> {
  return { kind: "value", brief, placeholder, parse };
}

export function choice<const T extends string>(
  brief: string,
  ...values: readonly T[]
): ChoiceFlag<T> {
  return { kind: "choice", brief, values };
}

export function command<const F extends Flags>(
  brief: string,
  parts: {
    readonly flags: F;
    readonly args?: readonly Argument[];
    readonly examples: readonly string[];
    readonly load: () => Promise<CommandWork<F>>;
  },
): Command {
  return {
    kind: "command",
    brief,
    examples: parts.examples,
    flags: parts.flags,
    args: parts.args ?? [],
    // The values come from these very flags, read by their own parsers.
    load: parts.load as unknown as Command["load"],
  };
}

export function group(brief: string, commands: CommandTable): CommandGroup {
  return { kind: "group", brief, commands };
}
