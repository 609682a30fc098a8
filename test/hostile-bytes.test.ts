import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { fuzzRequests } from './fuzz/campaign.ts'
import { buildGoReader } from './fuzz/go-reader.ts'
import { hasOpenssl } from './fuzz/openssl-reader.ts'

const directory = mkdtempSync(join(tmpdir(), 'podpass-hostile-'))
afterAll(() => rmSync(directory, { recursive: true }))

// The same seed and numbers each time; `node test/fuzz/requests.ts` goes as far as one likes.
test('mutated requests crash nothing, and Go and openssl see in those that are taken what is approved', async () => {
  const report = await fuzzRequests({
    seed: 7,
    from: 0,
    count: 20_000,
    go: buildGoReader(directory),
    opensslEach: hasOpenssl() ? 20 : 0,
  })
  expect(report.findings).toEqual([])
  // Else the mutations are too coarse, or are not reached.
  expect(report.taken).toBeGreaterThan(1000)
  expect([...report.refused.keys()].toSorted()).toEqual(
    ['ca', 'encoding', 'extensions', 'key', 'names', 'subject', 'usages'].map((rule) => `request.${rule}`),
  )
}, 600_000)
