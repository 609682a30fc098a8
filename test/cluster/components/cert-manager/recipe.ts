import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../command.ts'
import type { Component } from '../build.ts'

const version = '1.21.1'

/** The cert-manager controllers (`cert-manager`), their admission webhook (`webhook`) and the definitions of their kinds (`crds/`). */
export const certManager: Component = {
  name: 'cert-manager',
  version,
  directory: import.meta.dirname,
  async build({ go, outputDirectory }) {
    const module = 'github.com/cert-manager/cert-manager'
    await go('mod', 'init', 'cert-manager')
    await go('mod', 'edit', '-require', `${module}@v${version}`)
    await go('mod', 'tidy')
    await go('build', '-trimpath', '-ldflags', '-s -w', '-o', join(outputDirectory, 'cert-manager'), '.')
    await go('test', '-c', '-trimpath', '-o', join(outputDirectory, 'webhook'), '.')
    const sources = (await go('list', '-m', '-f', '{{.Dir}}', module)).trim()
    const definitions = join(outputDirectory, 'crds')
    await cp(join(sources, 'deploy', 'crds'), definitions, { recursive: true, filter: (path) => !path.endsWith('.md') })
    // Go keeps its module folders read-only, and a cache that its user cannot remove is a nuisance.
    await run('chmod', ['-R', 'u+w', definitions])
  },
}
