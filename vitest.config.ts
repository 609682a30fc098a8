import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/*.test.ts', 'bench/*.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    // The longest file mostly waits, so more files than cores may run at once.
    maxWorkers: 3,
  },
})
