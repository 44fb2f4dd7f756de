import {
  AliasNotFoundError,
  ArgumentParseError,
  buildApplication,
  buildCommand,
  buildRouteMap,
  EnumValidationError,
  FlagNotFoundError,
  help,
  run,
  text_en,
  UnexpectedFlagError,
  UnexpectedPositionalError,
  UnsatisfiedFlagError,
  UnsatisfiedPositionalError,
  version,
  type ApplicationText,
  type Command as BuiltCommand,
  type CommandContext,
  type RouteMap,
  type StricliIntegration,
  type StricliProcess,
} from "@stricli/core";
import { EXIT, ExitError, messageOf, type ExitCode } from "../base/errors.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../base/version.ts";
import { COMMANDS } from "./catalog.ts";
import type { Argument, Command, CommandTable, Flag } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { reportFailure } from "./failure.ts";

// The only file that knows the library of the command line. Whatever is wrong with arguments ends here, with
// code 64 and one line.

const NAME = "vpn";
export const VERSION_LINE = `${NAME} ${VERSION} (${COMMIT}, ${BUILD_DATE})`;

interface Context extends CommandContext {
  readonly process: StricliProcess;
  readonly environment: CommandEnvironment;
}

/** Runs the command that the arguments name and answers the exit code. Never rejects. */
export async function runApplication(
  args: readonly string[],
  environment: CommandEnvironment,
  commands: CommandTable = COMMANDS,
): Promise<ExitCode> {
  const report = (thrown: unknown) =>
    reportFailure(thrown, {
      write: environment.stderr,
      json: ownArguments(args).includes("--json"),
      debug: environment.variables["VPN_DEBUG"] === "1",
    });
  // For commands that set no handler of their own: a trace is for those who ask for it.
  const release = environment.onFault((error) => environment.exit(report(error)));
  try {
    refuseInheritedNames(args);
    // Faults of arguments are what the library writes on its standard error: they are gathered and reported as ours.
    let complaint = "";
    let exitCode: ExitCode | undefined;
    const outcome: StricliProcess = {
      stdout: { write: environment.stdout },
      stderr: { write: (text) => void (complaint += text) },
      env: {},
    };
    const finish = (code: ExitCode) => void (exitCode = code);
    const app = buildApplication(
      routesOf(commands, report, finish),
      {
        name: NAME,
        scanner: SCANNER,
        documentation: DOCUMENTATION,
        localization: { text: TEXT },
      },
      integrations(environment, finish),
    );
    await run(app, args, { process: outcome, environment } as Context);
    if (complaint !== "") throw new ExitError(EXIT.usage, complaint.trim().split("\n").join("; "));
    return exitCode ?? EXIT.ok;
  } catch (error) {
    return report(error);
  } finally {
    release();
  }
}

const SCANNER = {
  caseStyle: "allow-kebab-for-camel",
  allowArgumentEscapeSequence: true,
  distanceOptions: {
    // Letters left out at the end cost least: people abbreviate.
    threshold: 6,
    weights: { insertion: 1, deletion: 3, substitution: 2, transposition: 1 },
  },
} as const;

const DOCUMENTATION = {
  caseStyle: "convert-camel-to-kebab",
  onlyRequiredInUsageLine: true,
  useAliasInUsageLine: false,
  disableAnsiColor: true,
} as const;

/** What stands before `--`: the rest are values. */
function ownArguments(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return end < 0 ? args : args.slice(0, end);
}

/** The library looks flags up in plain objects, where `--constructor` finds what nobody put there. */
function refuseInheritedNames(args: readonly string[]): void {
  for (const arg of ownArguments(args)) {
    const name = /^--([A-Za-z-]+)/
      .exec(arg)?.[1]
      ?.replace(/-./g, (match) => match[1]!.toUpperCase());
    if (name !== undefined && name in Object.prototype) {
      throw new ExitError(EXIT.usage, `Unknown flag --${name}`);
    }
  }
}

function routesOf(
  commands: CommandTable,
  report: (thrown: unknown) => ExitCode,
  finish: (code: ExitCode) => void,
  brief = "An Ethernet VPN in one binary, wire-compatible with SoftEther VPN.",
): RouteMap<Context> {
  const routes: Record<string, RouteMap<Context> | BuiltCommand<Context>> = Object.create(null);
  for (const [name, entry] of Object.entries(commands)) {
    routes[name] =
      entry.kind === "group"
        ? routesOf(entry.commands, report, finish, entry.brief)
        : built(entry, report, finish);
  }
  return buildRouteMap<string, Context>({ routes, docs: { brief } });
}

function built(
  command: Command,
  report: (thrown: unknown) => ExitCode,
  finish: (code: ExitCode) => void,
): BuiltCommand<Context> {
  return buildCommand<Record<string, unknown>, (string | undefined)[], Context>({
    loader: async () =>
      async function (this: Context, flags, ...args) {
        try {
          const work = await command.load();
          finish(await work(this.environment, withSwitches(command, flags) as never, ...args));
        } catch (error) {
          finish(report(error));
        }
      },
    parameters: {
      flags: Object.fromEntries(
        Object.entries(command.flags).map(([name, flag]) => [name, builtFlag(flag)]),
      ) as never,
      positional: positionalOf(command.args) as never,
    },
    docs: {
      brief: command.brief,
      customUsage: [usageOf(command)],
      fullDescription: `${command.brief}.\n\nEXAMPLES\n${command.examples.map((line) => `  ${line}`).join("\n")}`,
    },
  });
}

function positionalOf(args: readonly Argument[]): object {
  const parameters = args.map((arg) => ({
    brief: arg.brief,
    placeholder: arg.placeholder,
    parse: (text: string) => text,
    ...(arg.isOptional && arg.isRepeated !== true ? { optional: true } : {}),
  }));
  const [first] = args;
  return first?.isRepeated === true
    ? { kind: "array", parameter: parameters[0] }
    : { kind: "tuple", parameters };
}

function usageOf(command: Command): string {
  const flags = Object.keys(command.flags).length === 0 ? [] : ["[FLAGS]"];
  const args = command.args.map((arg) => {
    const shown = arg.isRepeated === true ? `${arg.placeholder}...` : arg.placeholder;
    return arg.isOptional ? `[${shown}]` : shown;
  });
  return [...flags, ...args].join(" ");
}

/** Switches that were not given are false, as `FlagValues` says. */
function withSwitches(command: Command, flags: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(command.flags).map(([name, flag]) => [
    name,
    flags[name] ?? (flag.kind === "switch" ? false : undefined),
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

function builtFlag(flag: Flag): object {
  switch (flag.kind) {
    case "switch":
      return { kind: "boolean", brief: flag.brief, optional: true, withNegated: false };
    case "ternary":
      return { kind: "boolean", brief: flag.brief, optional: true, withNegated: true };
    case "choice":
      return { kind: "enum", brief: flag.brief, values: flag.values, optional: true };
    case "value":
      return {
        kind: "parsed",
        brief: `${flag.placeholder}: ${flag.brief}`,
        parse: flag.parse,
        optional: true,
      };
  }
}

function integrations(
  environment: CommandEnvironment,
  finish: (code: ExitCode) => void,
): Record<string, StricliIntegration<Context>> {
  const helpOf = help<Context>({ brief: "show this", formatting: DOCUMENTATION });
  return {
    help: helpOf,
    version: version<Context>({
      brief: "show version, commit and date",
      info: { currentVersion: VERSION_LINE },
    }),
    // A group without a command: its usage, and the code that says that nothing was done.
    usage: {
      flag: {
        brief: "",
        hidden: true,
        defaultForRouteMap: true,
        async run(app, args) {
          await helpOf.flag?.run.call(
            { process: { ...this.process, stdout: { write: environment.stderr } } },
            app,
            args,
          );
          finish(EXIT.usage);
        },
      },
    },
  };
}

const TEXT: ApplicationText = {
  ...text_en,
  briefs: { ...text_en.briefs, argumentEscapeSequence: "what follows are arguments, not flags" },
  noCommandRegisteredForInput: ({ input, corrections }) =>
    input.startsWith("-")
      ? unknownFlag(input.replace(/^-+|=.*$/gs, ""), [])
      : `Unknown command "${input}"${suggestion(corrections)}`,
  exceptionWhileParsingArguments: (error) => argumentFault(error),
};

/** What is wrong with an argument. Values of unknown flags are not repeated: one of them may be a secret. */
function argumentFault(error: unknown): string {
  if (error instanceof FlagNotFoundError) return unknownFlag(error.input, error.corrections);
  if (error instanceof AliasNotFoundError) return `Unknown flag -${error.input}`;
  if (error instanceof UnexpectedFlagError)
    return `Flag --${error.externalFlagName} is given twice`;
  if (error instanceof UnsatisfiedFlagError)
    return `Flag --${error.externalFlagName} needs a value`;
  if (error instanceof UnsatisfiedPositionalError) return `${error.placeholder} is missing`;
  if (error instanceof UnexpectedPositionalError) return `Unexpected argument "${error.input}"`;
  if (error instanceof EnumValidationError) {
    const values = error.values.map((word) => `"${word}"`).join(" or ");
    return `Cannot use --${error.externalFlagName} "${error.input}": expected ${values}`;
  }
  if (error instanceof ArgumentParseError) {
    const shown = withoutPassword(error.input);
    return `Cannot use --${error.externalFlagNameOrPlaceholder} "${shown}": ${messageOf(error.exception)}`;
  }
  return messageOf(error);
}

/** The password of a URL (RFC 3986 3.2.1) is not repeated: messages end up in logs. */
function withoutPassword(input: string): string {
  return input.replace(/(:\/\/[^/:@]*):.*@/, "$1:...@");
}

function unknownFlag(name: string, corrections: readonly string[]): string {
  return /^pass(?:word|wd)?$/i.test(name)
    ? "A password on the command line can be read by others: use --password-file FILE, or - for standard input"
    : `Unknown flag --${name}${suggestion(corrections.map((known) => `--${kebab(known)}`))}`;
}

function suggestion(corrections: readonly string[]): string {
  return corrections.length === 0 ? "" : `, did you mean ${corrections.map(plain).join(" or ")}?`;
}

function plain(correction: string): string {
  return correction.replaceAll("`", "");
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
