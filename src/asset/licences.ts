import { collectLicences } from "./third-party.ts" with { type: "macro" };

/** The chapter `vpn help licences`. Large, so it is loaded when it is asked for. */
export const LICENCES = `# Licences

Patchbay is licensed under the Apache License, Version 2.0. The program contains Bun (https://bun.com), under the MIT
licence, and with it WebKit's JavaScriptCore, under the LGPL 2, and the libraries that https://bun.com/docs/project/license
names with their licences. It contains these packages, with the licences that follow their names.

${collectLicences()}`;
