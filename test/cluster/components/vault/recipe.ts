import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../command.ts'
import type { Component } from '../build.ts'

const version = '1.13.0'
/** The release of Vault's own library that fits it: it is developed in the same repository, and released by another number. */
const libraryVersion = '0.8.1'

/** A Vault server with its PKI engine and its Kubernetes auth method (`vault`). Run it with `GODEBUG=x509negativeserial=1`. */
export const vault: Component = {
  name: 'vault',
  version,
  directory: import.meta.dirname,
  async build({ go, outputDirectory, workDirectory }) {
    const module = 'github.com/hashicorp/vault'
    await go('mod', 'init', 'vault')
    await go('mod', 'edit', '-require', `${module}@v${version}`, '-require', `${module}/sdk@v${libraryVersion}`)
    // The checksum database lacks some of its old modules, so the checksums are those that Vault itself was released with.
    const { Dir } = JSON.parse(await go('mod', 'download', '-json', `${module}@v${version}`)) as {
      readonly Dir: string
    }
    await cp(join(Dir, 'go.sum'), join(workDirectory, 'go.sum'))
    await run('chmod', ['u+w', join(workDirectory, 'go.sum')])
    const flags = ['-mod=mod', '-trimpath', '-ldflags', '-s -w']
    await go('build', ...flags, '-o', join(outputDirectory, 'vault'), module)
  },
}
