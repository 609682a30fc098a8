import { join } from 'node:path'
import type { Component } from '../build.ts'

const version = '5.4.0'

/** The conformance tests for CSI drivers (`csi-sanity`). */
export const csiSanity: Component = {
  name: 'csi-sanity',
  version,
  directory: import.meta.dirname,
  async build({ go, outputDirectory }) {
    const command = 'github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity'
    await go('mod', 'init', 'csi-sanity')
    await go('get', '-tool', `${command}@v${version}`)
    await go('build', '-trimpath', '-ldflags', '-s -w', '-o', join(outputDirectory, 'csi-sanity'), command)
  },
}
