import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component } from '../build.ts'

/** The last release of SPIRE that has it. */
const version = '1.5.6'

/** SPIRE's former registrar (`k8s-workload-registrar`), in its modes reconcile and crd, and the definition of its kind (`crd.yaml`). */
export const formerRegistrar: Component = {
  name: 'former-registrar',
  version,
  directory: import.meta.dirname,
  async build({ go, outputDirectory }) {
    const module = 'github.com/spiffe/spire'
    const program = 'k8s-workload-registrar'
    await go('mod', 'init', 'former-registrar')
    await go('mod', 'edit', '-require', `${module}@v${version}`)
    const flags = ['-mod=mod', '-trimpath', '-ldflags', '-s -w']
    await go('build', ...flags, '-o', join(outputDirectory, program), `${module}/support/k8s/${program}`)
    const sources = (await go('list', '-mod=mod', '-m', '-f', '{{.Dir}}', module)).trim()
    const definition = 'mode-crd/config/spiffeid.spiffe.io_spiffeids.yaml'
    await copyFile(join(sources, 'support/k8s', program, definition), join(outputDirectory, 'crd.yaml'))
  },
}
