import { setImmediate } from 'node:timers/promises'
import type { AskedCertificate } from '../../src/approver/request/asked-certificate.ts'
import { readRequest } from '../../src/approver/request/read-request.ts'
import { differencesToGo, differencesToOpenssl } from './compare.ts'
import type { GoReader } from './go-reader.ts'
import { type Mutant, mutant } from './mutant.ts'
import { askOpenssl } from './openssl-reader.ts'

export interface CampaignOptions {
  readonly seed: number
  /** The number of the first mutant. */
  readonly from: number
  readonly count: number
  /** Reads what was taken; undefined where there is no Go. */
  readonly go: GoReader | undefined
  /** One of so many that were taken is read by openssl; 0 for none. */
  readonly opensslEach: number
  /** Called now and then. */
  readonly onProgress?: (report: CampaignReport) => void
}

/** A request that broke a promise. */
export interface Finding {
  readonly index: number
  readonly changes: readonly string[]
  /** The request as its object holds it, base64 apart. */
  readonly bytes: Uint8Array
  readonly problems: readonly string[]
}

export interface CampaignReport {
  readonly read: number
  readonly taken: number
  /** How many were refused first by which rule. */
  readonly refused: ReadonlyMap<string, number>
  readonly readByGo: number
  readonly readByOpenssl: number
  readonly findings: readonly Finding[]
}

interface Taken {
  readonly index: number
  readonly mutant: Mutant
  readonly asked: AskedCertificate
}

/** So few that they and their answers stay small. */
const batch = 2000
const opensslAtOnce = 4

/**
 * Reads mutated requests, and lets Go and openssl read those that are taken. A finding is a reader that throws, or a peer that
 * refuses what was taken or sees something else in it.
 */
export async function fuzzRequests(options: CampaignOptions): Promise<CampaignReport> {
  const { seed, from, count, go, opensslEach, onProgress } = options
  const refused = new Map<string, number>()
  const findings: Finding[] = []
  const report = { read: 0, taken: 0, refused, readByGo: 0, readByOpenssl: 0, findings }
  for (let start = from; start < from + count; start += batch) {
    // Whoever else runs on this thread gets a turn.
    await setImmediate()
    const taken: Taken[] = []
    for (let index = start; index < Math.min(start + batch, from + count); index++) {
      const one = mutant(seed, index)
      report.read++
      try {
        const { asked, faults } = readRequest(one.request)
        const [fault] = faults
        if (fault !== undefined) refused.set(fault.rule, (refused.get(fault.rule) ?? 0) + 1)
        else if (asked !== undefined) taken.push({ index, mutant: one, asked })
      } catch (error) {
        findings.push({ index, ...one, problems: [`it throws: ${(error as Error).stack}`] })
      }
    }
    report.taken += taken.length
    if (go !== undefined) {
      findings.push(...askGo(go, taken))
      report.readByGo += taken.length
    }
    const sample = opensslEach === 0 ? [] : taken.filter((_, index) => index % opensslEach === 0)
    findings.push(...(await askOpensslFor(sample)))
    report.readByOpenssl += sample.length
    onProgress?.(report)
  }
  return report
}

function askGo(go: GoReader, taken: readonly Taken[]): Finding[] {
  const answers = go(taken.map(({ mutant }) => mutant.bytes))
  return taken.flatMap((one, index) => {
    const answer = answers[index]
    return finding(one, answer === undefined ? ['Go does not answer'] : differencesToGo(one.asked, answer))
  })
}

async function askOpensslFor(sample: readonly Taken[]): Promise<Finding[]> {
  const found: Finding[] = []
  const left = sample.values()
  const work = async (): Promise<void> => {
    // One iterator for all, so that each takes the next.
    for (const one of left) {
      const answer = await askOpenssl(one.mutant.bytes)
      found.push(...finding(one, differencesToOpenssl(one.asked, answer)))
    }
  }
  await Promise.all(Array.from({ length: opensslAtOnce }, work))
  return found
}

function finding({ index, mutant }: Taken, problems: readonly string[]): Finding[] {
  const { changes, bytes } = mutant
  return problems.length === 0 ? [] : [{ index, changes, bytes, problems }]
}
