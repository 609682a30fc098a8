import { readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component } from '../build.ts'

const [major, minor, patch] = [1, 37, 0]

/** etcd, kube-apiserver, kube-controller-manager, kubelet and kubectl, each by its own name. */
export const kubestack: Component = {
  name: 'kubestack',
  version: `${major}.${minor}.${patch}`,
  directory: import.meta.dirname,
  async build({ go, outputDirectory }) {
    const kubernetes = `k8s.io/kubernetes@v${major}.${minor}.${patch}`
    await go('mod', 'init', 'kubestack')
    await go('mod', 'edit', '-require', kubernetes)
    // Its go.mod finds the libraries it is released with in ./staging. Who requires it as a module has to say where they are.
    const { GoMod } = JSON.parse(await go('mod', 'download', '-json', kubernetes)) as { readonly GoMod: string }
    for (const [, library] of (await readFile(GoMod, 'utf8')).matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging\//gm)) {
      await go('mod', 'edit', '-replace', `${library}=${library}@v0.${minor}.${patch}`)
    }
    await go('mod', 'tidy')
    const linked = { gitVersion: `v${major}.${minor}.${patch}`, gitMajor: major, gitMinor: minor }
    const flags = Object.entries(linked).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    await go(
      'build',
      '-trimpath',
      '-ldflags',
      `-s -w ${flags.join(' ')}`,
      '-o',
      join(outputDirectory, 'kubestack'),
      '.',
    )
    for (const name of ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubelet', 'kubectl']) {
      await symlink('kubestack', join(outputDirectory, name))
    }
  },
}
