/** What was found at a path. `mode` holds the nine permission bits. */
export type SourceFile =
  | { readonly kind: "file"; readonly bytes: Uint8Array; readonly mode: number }
  | { readonly kind: "missing" }
  /** Not a regular file, too large, or not readable; `reason` completes "PATH ...". */
  | { readonly kind: "refused"; readonly reason: string };

/** The part of the file system that configuration needs. */
export interface SourceFiles {
  /** Reads a regular file of at most `maxBytes`, following symbolic links; nothing else is ever opened for reading. */
  read(path: string, maxBytes: number): SourceFile;
  /** The paths that match a pattern, in the order of their names. */
  glob(pattern: string, directory: string): readonly string[];
}
