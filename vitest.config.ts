import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/*.test.ts', 'test/promises/*.test.ts', 'bench/*.test.ts'],
    setupFiles: [join(import.meta.dirname, 'test/support/property-seed.ts')],
    testTimeout: 60_000,
    pool: 'forks',
    // Programs that tests start from their sources find them compiled: half of a start is the stripping of types.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') },
    // The longest file mostly waits, so more files than cores may run at once.
    maxWorkers: 3,
  },
})
