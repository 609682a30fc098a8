import { join } from 'node:path'
import type { Component } from '../build.ts'

const version = '1.15.3'
/** The release of EJBCA's client that can be had. SPIRE asks for 1.1.0, which was withdrawn. */
const ejbcaClient = 'github.com/Keyfactor/ejbca-go-client-sdk'
const ejbcaClientVersion = '1.0.2'

/** A SPIRE server, which is its command line as well (`spire-server`), and its agent (`spire-agent`). */
export const spire: Component = {
  name: 'spire',
  version,
  directory: import.meta.dirname,
  // SQLite.
  needsC: true,
  async build({ go, outputDirectory }) {
    const module = 'github.com/spiffe/spire'
    await go('mod', 'init', 'spire')
    await go('mod', 'edit', '-require', `${module}@v${version}`)
    await go('mod', 'edit', '-replace', `${ejbcaClient}=${ejbcaClient}@v${ejbcaClientVersion}`)
    for (const name of ['spire-server', 'spire-agent']) {
      const flags = ['-mod=mod', '-trimpath', '-ldflags', '-s -w']
      await go('build', ...flags, '-o', join(outputDirectory, name), `${module}/cmd/${name}`)
    }
  },
}
