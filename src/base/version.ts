// build.ts puts text in the place of these names; run from sources they are not defined at all.
declare const BUILD_VERSION: string;
declare const BUILD_COMMIT: string;
declare const BUILD_TIME: string;

/** Version of package.json, `dev` when run from sources. */
export const VERSION: string = typeof BUILD_VERSION === "string" ? BUILD_VERSION : "dev";
/** Abbreviated git commit, with `-dirty` where files differed from it; `unknown` outside git, `dev` from sources. */
export const COMMIT: string = typeof BUILD_COMMIT === "string" ? BUILD_COMMIT : "dev";
/** RFC 3339, UTC, to the second; `dev` when run from sources. */
export const BUILD_DATE: string = typeof BUILD_TIME === "string" ? BUILD_TIME : "dev";
