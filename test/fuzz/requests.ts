// Mutated certificate requests against the approver's reader, with Go and openssl beside it:
// node test/fuzz/requests.ts [--count N] [--seed N] [--from N] [--openssl-each N]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fuzzRequests } from './campaign.ts'
import { buildGoReader } from './go-reader.ts'
import { hasOpenssl } from './openssl-reader.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    'openssl-each': { type: 'string', default: '1' },
  },
})
const directory = await mkdtemp(join(tmpdir(), 'podpass-fuzz-'))
try {
  const go = buildGoReader(directory)
  if (go === undefined) throw new Error('there is no Go: what is taken must be read by it')
  const opensslEach = Number(values['openssl-each'])
  if (opensslEach > 0 && !hasOpenssl()) throw new Error('there is no openssl of version 3 or later')
  let told = 0
  const [seed, from, count] = [Number(values.seed), Number(values.from), Number(values.count)]
  const report = await fuzzRequests({
    seed,
    from,
    count,
    go,
    opensslEach,
    onProgress: ({ read, taken, findings }) => {
      if (read - told < 50_000) return
      told = read
      console.error(`${read} read, ${taken} taken, ${findings.length} findings`)
    },
  })
  for (const { index, changes, bytes, problems } of report.findings.slice(0, 20)) {
    console.log(`--seed ${seed} --from ${index} --count 1: ${changes.join('; ')}\n  ${problems.join('\n  ')}`)
    if (count === 1) console.log(`  ${bytes.toBase64()}`)
  }
  const refused = [...report.refused].toSorted(([, left], [, right]) => right - left)
  console.log(
    `${report.read} requests: ${report.taken} taken, of these ${report.readByGo} read by Go and ${report.readByOpenssl} by openssl, ` +
      `${report.findings.length} findings; refused for ${refused.map(([rule, many]) => `${rule} ${many}`).join(', ')}`,
  )
  if (report.findings.length > 0) process.exitCode = 1
} finally {
  await rm(directory, { recursive: true })
}
