import type { SourcePosition } from "../base/errors.ts";
import { nearestName } from "./nearest-name.ts";
import type { ConfigProblem } from "./problem.ts";
import type { SourceFiles } from "./source-files.ts";
import { emptyTable, positionOf, type TomlNode, type TomlTable } from "./toml-tree.ts";

/**
 * What a value must look like. `read` gives the typed value, or undefined after it has told every fault to the
 * place; so one pass over a file finds all of them.
 */
export interface Shape<out T> {
  /** Completes "expected ...". */
  readonly expects: string;
  read(node: TomlNode, place: Place): T | undefined;
  /** The shapes inside, for lists of all keys; NAME stands for the names that people choose. */
  readonly inner?: ReadonlyMap<string, Shape<unknown>>;
}

/** What reading needs besides the text, and where faults go. */
export interface ReadContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly files: SourceFiles;
  fail(problem: ConfigProblem): void;
  /** Like `fail`, for files whose permissions must stop the program (CF-11). */
  deny(problem: ConfigProblem): void;
  warn(problem: ConfigProblem): void;
  /** A configuration file that contains a secret itself, so that others should not read it. */
  holdsSecret(position: SourcePosition): void;
}

/** `hub.office` and `"a.b"` give `hub.office."a.b"`: a path is told apart from all others. */
export function joinKeys(path: string, ...keys: readonly string[]): string {
  const shown = keys.map((key) => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key)));
  return [...(path === "" ? [] : [path]), ...shown].join(".");
}

/** The path of a value and the way to complain about it. */
export class Place {
  readonly path: string;
  readonly context: ReadContext;
  constructor(path: string, context: ReadContext) {
    this.path = path;
    this.context = context;
  }

  inside(key: string): Place {
    return new Place(joinKeys(this.path, key), this.context);
  }

  item(index: number): Place {
    return new Place(`${this.path}[${index}]`, this.context);
  }

  /** Tells a fault of the value at `keys` below `node`; gives undefined, so that `read` can return it. */
  fail(node: TomlNode, text: string, ...keys: string[]): undefined {
    this.context.fail(this.problem(node, text, ...keys));
    return undefined;
  }

  warn(node: TomlNode, text: string, ...keys: string[]): void {
    this.context.warn(this.problem(node, text, ...keys));
  }

  problem(node: TomlNode, text: string, ...keys: string[]): ConfigProblem {
    return { position: positionOf(node, keys) ?? node.at, key: joinKeys(this.path, ...keys), text };
  }
}

/** One key of a table. `initial` is what holds when the file does not name it. */
export interface Key<out T> {
  readonly shape: Shape<T>;
  readonly initial: T;
  /** What a table without the key gives: the initial value, the reading of an empty table, or a fault. */
  readonly absent: "initial" | "section" | "fault";
}

export function setting<T>(shape: Shape<T>, initial: NoInfer<T>): Key<T> {
  return { shape, initial, absent: "initial" };
}

export function optional<T>(shape: Shape<T>): Key<T | undefined> {
  return { shape, initial: undefined, absent: "initial" };
}

export function required<T>(shape: Shape<T>): Key<T> {
  // A table that lacks the key is refused as a whole, so nobody ever sees this initial value.
  return { shape, initial: undefined as T, absent: "fault" };
}

/** A table that a file may leave out; then each of its keys has its own initial value. */
export function section<T>(shape: Shape<T>): Key<T> {
  return { shape, initial: undefined as T, absent: "section" };
}

export type Keys = Readonly<Record<string, Key<unknown>>>;
export type TableValue<K extends Keys> = {
  readonly [N in keyof K]: K[N] extends Key<infer T> ? T : never;
};

/** A table with these keys and no others. `unavailable` are names that exist, but not in this version. */
export function table<K extends Keys>(
  keys: K,
  unavailable: ReadonlySet<string> = new Set(),
): Shape<TableValue<K>> {
  const known = new Map(Object.entries(keys));
  return {
    expects: "a table",
    inner: new Map([...known].map(([name, key]) => [name, key.shape])),
    read(node, place) {
      if (node.kind !== "table") return place.fail(node, mismatch("a table", node));
      let isGood = refuseUnknownKeys(node, place, known, unavailable);
      const values: Record<string, unknown> = {};
      for (const [name, key] of known) {
        const found = node.entries.get(name)?.value;
        const read = found ?? (key.absent === "section" ? emptyTable(node.at) : undefined);
        if (read !== undefined) {
          const value = key.shape.read(read, place.inside(name));
          if (value === undefined) isGood = false;
          values[name] = value;
          continue;
        }
        values[name] = key.initial;
        if (key.absent === "fault") {
          place.fail(node, `the key "${name}" is missing, expected ${key.shape.expects}`);
          isGood = false;
        }
      }
      return isGood ? (Object.freeze(values) as TableValue<K>) : undefined;
    },
  };
}

function refuseUnknownKeys(
  node: TomlTable,
  place: Place,
  known: ReadonlyMap<string, unknown>,
  unavailable: ReadonlySet<string>,
): boolean {
  let isGood = true;
  for (const [name, entry] of node.entries) {
    if (known.has(name)) continue;
    isGood = false;
    const near = nearestName(name, known.keys());
    const hint = near === undefined ? "" : ` (did you mean "${near}"?)`;
    place.context.fail({
      position: entry.keyAt,
      key: place.inside(name).path,
      text: unavailable.has(name)
        ? "this item is not available yet in this version"
        : `unknown key${hint}`,
    });
  }
  return isGood;
}

/** One of the entries that people name: a hub, a user. */
export interface Named<out T> {
  readonly name: string;
  readonly value: T;
}

/** A table whose keys are names, in the order of the file; names that differ in case only are refused (CF-07). */
export function named<T>(
  shape: Shape<T>,
  rule: { noun: string; max: number; refuse: (name: string) => string | undefined },
): Shape<readonly Named<T>[]> {
  return {
    expects: `a table of ${rule.noun}s`,
    inner: new Map([["NAME", shape]]),
    read(node, place) {
      if (node.kind !== "table") return place.fail(node, mismatch(this.expects, node));
      if (node.entries.size > rule.max) {
        return place.fail(
          node,
          `${node.entries.size} ${rule.noun}s, at most ${rule.max} are allowed`,
        );
      }
      const found: Named<T>[] = [];
      const byLowerCase = new Map<string, { name: string; keyAt: SourcePosition }>();
      for (const [name, { keyAt, value: inner }] of node.entries) {
        const here = place.inside(name);
        const complain = (text: string) =>
          here.context.fail({ position: keyAt, key: here.path, text });
        const twin = byLowerCase.get(name.toLowerCase());
        const why = rule.refuse(name);
        if (twin !== undefined) {
          complain(
            `the same ${rule.noun} as "${twin.name}" in ${lineOf(twin.keyAt, keyAt)}, case is ignored`,
          );
        } else if (why !== undefined) complain(why);
        byLowerCase.set(name.toLowerCase(), { name, keyAt });
        const value = shape.read(inner, here);
        if (value !== undefined && twin === undefined && why === undefined)
          found.push({ name, value });
      }
      return found.length === node.entries.size ? Object.freeze(found) : undefined;
    },
  };
}

/** A list whose items all have one shape. */
export function list<T>(shape: Shape<T>): Shape<readonly T[]> {
  return {
    expects: `a list, each item ${shape.expects}`,
    read(node, place) {
      if (node.kind !== "array") return place.fail(node, mismatch(this.expects, node));
      const values: T[] = [];
      for (const [index, item] of node.items.entries()) {
        const value = shape.read(item, place.item(index));
        if (value !== undefined) values.push(value);
      }
      return values.length === node.items.length ? Object.freeze(values) : undefined;
    },
  };
}

/** A shape for each kind of TOML value that is allowed. */
export function oneOf<T>(
  expects: string,
  kinds: { readonly [K in TomlNode["kind"]]?: Shape<T> },
): Shape<T> {
  return {
    expects,
    read(node, place) {
      const shape = kinds[node.kind];
      return shape === undefined
        ? place.fail(node, mismatch(expects, node))
        : shape.read(node, place);
    },
  };
}

/** Turns a good value into another, or refuses it; `check` gives undefined after it has told the fault. */
export function refine<T, U>(
  shape: Shape<T>,
  check: (value: T, node: TomlNode, place: Place) => U | undefined,
): Shape<U> {
  return {
    ...shape,
    read(node, place) {
      const value = shape.read(node, place);
      return value === undefined ? undefined : check(value, node, place);
    },
  };
}

/** `hub.NAME.user.NAME.enable` and all others below a shape. */
export function listKeys(shape: Shape<unknown>, prefix = ""): string[] {
  if (shape.inner === undefined) return [prefix];
  return [...shape.inner].flatMap(([name, inner]) =>
    listKeys(inner, prefix === "" ? name : `${prefix}.${name}`),
  );
}

export function mismatch(expects: string, node: TomlNode): string {
  return `expected ${expects}, found ${describe(node)}`;
}

function describe(node: TomlNode): string {
  switch (node.kind) {
    case "table":
      return "a table";
    case "array":
      return "a list";
    case "string":
      return JSON.stringify(node.value.length > 64 ? `${node.value.slice(0, 61)}...` : node.value);
    case "date":
      return `the date ${node.text}`;
    case "stored":
      return "a stored secret";
    default:
      return String(node.value);
  }
}

function lineOf(position: SourcePosition, seenFrom: SourcePosition): string {
  return `${position.file === seenFrom.file ? "" : `${position.file} `}line ${position.line}`;
}
