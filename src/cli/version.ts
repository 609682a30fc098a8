import { createRequire } from 'node:module'

declare const podpassVersion: string | undefined

/** The version of package.json; the build puts it into the bundle. */
export const programVersion: string =
  typeof podpassVersion === 'string'
    ? podpassVersion
    : (createRequire(import.meta.url)('../../package.json') as { version: string }).version
