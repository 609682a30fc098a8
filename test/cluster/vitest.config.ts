import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: join(import.meta.dirname, '../..'),
    include: ['test/cluster/**/*.test.ts'],
    setupFiles: [join(import.meta.dirname, '../support/property-seed.ts')],
    globalSetup: [join(import.meta.dirname, 'global-setup.ts')],
    // One cluster and one driver serve all files, so these run one after another.
    fileParallelism: false,
    pool: 'forks',
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
  },
})
