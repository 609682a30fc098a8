import type { TestProject } from 'vitest/node'
import { Cluster, type ClusterAccess } from './cluster.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The cluster that all test files share. A test that disturbs the control plane starts one of its own. */
    readonly cluster: ClusterAccess
  }
}

/** Starts the cluster before the first test file. @returns what ends it after the last one */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await Cluster.start((line) => project.vitest.logger.log(line))
  project.provide('cluster', cluster.access)
  return () => cluster.close()
}
