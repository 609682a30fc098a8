import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component } from '../build.ts'

const version = '0.24.0'

/** Stand-ins for the sidecars of a CSI node plugin, `node-driver-registrar` and `livenessprobe` (main.go). */
export const csiSidecars: Component = {
  name: 'csi-sidecars',
  version,
  directory: import.meta.dirname,
  async build({ go, outputDirectory }) {
    await go('mod', 'init', 'csi-sidecars')
    await go('mod', 'edit', '-require', `github.com/kubernetes-csi/csi-lib-utils@v${version}`)
    await go('mod', 'edit', '-require', 'k8s.io/kubelet@v0.37.0')
    await go('mod', 'tidy')
    await go('build', '-trimpath', '-ldflags', '-s -w', '-o', join(outputDirectory, 'csi-sidecars'), '.')
    for (const name of ['node-driver-registrar', 'livenessprobe']) {
      await symlink('csi-sidecars', join(outputDirectory, name))
    }
  },
}
