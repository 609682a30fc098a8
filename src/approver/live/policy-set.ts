import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { Outage } from '../../kubernetes/reflector.ts'
import type { Problem } from '../../manifest/problem.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { policyApi } from '../policy/certificate-policy.ts'
import type { Policy } from '../policy/policy.ts'
import type { PolicyLimits } from '../policy/policy-problems.ts'
import { type FilePolicies, PolicyFiles } from './policy-files.ts'
import { readPolicyObject } from './read-policy-document.ts'
import { certificatePolicies, type PolicyObject } from './resources.ts'
import { ServedReflector } from './served-reflector.ts'
import { SharedRead } from './shared-read.ts'

/** The policies of one moment. */
export interface PolicySnapshot {
  readonly policies: readonly Policy[]
  /** What cannot be used as it stands: names of policies, and of files. Where it was once good, that is still in `policies`. */
  readonly unready: readonly string[]
  readonly problems: readonly Problem[]
  /** What the snapshot was made of, as {@link PolicySet.confirm} compares it. */
  readonly edition: string
}

/** What became of a policy of the API server. */
export interface PolicyReport {
  readonly object: PolicyObject
  /** None where it is used as it stands. */
  readonly problems: readonly Problem[]
  /** Whether an earlier version of it counts. */
  readonly isFormerUsed: boolean
}

export interface PolicySetOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch' | 'list'>
  /** A folder of more policies. */
  readonly directory: string | undefined
  readonly limits: PolicyLimits
  /** Told after each change, when {@link PolicySet.current} has it. */
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
}

interface ObjectReading {
  readonly generation: number | undefined
  readonly problems: readonly Problem[]
  /** This version, or the last one that could be used. */
  readonly policy: Policy | undefined
}

const noFiles: FilePolicies = { policies: [], unready: [], problems: [] }

/** All policies: the objects of the API server and those of a folder, each as it was when it last could be used. */
export class PolicySet {
  /** Resolves when everything there is was read once. */
  readonly known: Promise<void>
  readonly #options: PolicySetOptions
  readonly #objects: ServedReflector<PolicyObject, PolicyObject>
  readonly #files: PolicyFiles | undefined
  readonly #edition: SharedRead<string>
  #readings: ReadonlyMap<string, ObjectReading> = new Map()
  #reports: readonly PolicyReport[] = []
  #snapshot: PolicySnapshot = { policies: [], unready: [], problems: [], edition: '' }
  #isDirty = true
  #isClosed = false
  #reading: Promise<void> | undefined

  constructor(options: PolicySetOptions) {
    this.#options = options
    const { client, directory, limits, clock, log } = options
    const changed = (): void => this.#changed()
    this.#files =
      directory === undefined ? undefined : new PolicyFiles({ directory, limits, clock, log, onChange: changed })
    this.#objects = new ServedReflector<PolicyObject, PolicyObject>({
      client,
      resource: certificatePolicies,
      transform: keptPolicy,
      handler: {
        added: changed,
        modified: (_, kept, before) => {
          // A status is written by the approver itself.
          if (editionOf(kept) !== editionOf(before)) changed()
        },
        deleted: changed,
      },
      clock,
      log,
    })
    this.#edition = new SharedRead(async (signal) => {
      const { items } = await client.list(certificatePolicies, { metadataOnly: true, signal })
      return editionOfAll(items)
    })
    this.known = this.#objects.known.then(() => {
      this.#changed()
      return this.settled()
    })
    this.known.catch(() => {})
  }

  /** What counts now; undefined while a change is being read. */
  get current(): PolicySnapshot | undefined {
    return this.#isDirty || this.#reading !== undefined ? undefined : this.#snapshot
  }

  /** What became of each object. */
  get reports(): readonly PolicyReport[] {
    // A status that was written since is no change of the policy.
    return this.#reports.map((report) => {
      const { metadata } = report.object
      const { status, metadata: now } = this.#objects.get(metadata.name ?? '') ?? report.object
      return now.uid === metadata.uid ? { ...report, object: { metadata, status } as PolicyObject } : report
    })
  }

  get outage(): Outage | undefined {
    return this.#objects.outage
  }

  /** Whether there can be no policy at all: no such kind, and no folder. */
  get isMissing(): boolean {
    return this.#objects.isAbsent && this.#files === undefined
  }

  /** Resolves when no change is left to be read. */
  async settled(): Promise<void> {
    while (this.#reading !== undefined) await this.#reading
  }

  /**
   * Asks the API server whether its policies are still those of a snapshot, with a read that begins now or later. Decisions that are
   * made together share it.
   */
  async confirm({ edition }: PolicySnapshot, signal: AbortSignal): Promise<boolean> {
    if (this.#objects.isAbsent) return edition === ''
    return (await this.#edition.read(signal)) === edition
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#files?.close()
    await this.#objects.close()
    await this.#edition.close()
    await this.#reading
  }

  #changed(): void {
    this.#isDirty = true
    this.#reading ??= this.#read()
  }

  /** Never rejects. */
  async #read(): Promise<void> {
    do {
      // Changes that come together, as those of a list do, are read together.
      await Promise.resolve()
      this.#isDirty = false
      try {
        await this.#readAll()
      } catch (error) {
        this.#options.log.error({ error }, 'policies cannot be read: the former ones count')
      }
    } while (this.#isDirty && !this.#isClosed)
    this.#reading = undefined
    if (!this.#isClosed) this.#options.onChange()
  }

  async #readAll(): Promise<void> {
    const { limits, log } = this.#options
    const objects = [...this.#objects.values()]
    const files = (await this.#files?.read()) ?? noFiles
    const readings = new Map<string, ObjectReading>()
    for (const object of objects) {
      const { uid = '' } = object.metadata
      readings.set(uid, await readAgain(object, this.#readings.get(uid), limits))
    }
    this.#readings = readings
    const merged = merge(files, objects, readings)
    this.#reports = merged.reports
    const before = new Set(this.#snapshot.problems.map(({ message, object }) => `${object}: ${message}`))
    this.#snapshot = { ...merged.snapshot, edition: editionOfAll(objects) }
    for (const problem of this.#snapshot.problems) {
      const { object, message, location } = problem
      if (!before.has(`${object}: ${message}`))
        log.error({ policy: object, location }, `a policy is refused: ${message}`)
    }
  }
}

async function readAgain(
  object: PolicyObject,
  before: ObjectReading | undefined,
  limits: PolicyLimits,
): Promise<ObjectReading> {
  const { generation } = object.metadata
  if (before !== undefined && before.generation === generation) return before
  const { policy, problems } = await readPolicyObject(object, limits)
  return { generation, problems, policy: policy ?? before?.policy }
}

function merge(
  files: FilePolicies,
  objects: readonly PolicyObject[],
  readings: ReadonlyMap<string, ObjectReading>,
): { readonly snapshot: Omit<PolicySnapshot, 'edition'>; readonly reports: readonly PolicyReport[] } {
  const policies = new Map<string, Policy>()
  const problems = [...files.problems]
  const unready = [...files.unready]
  for (const policy of files.policies) {
    if (policies.has(policy.name)) {
      problems.push(sameName(policy.name, policy.location.source, 'file'))
      unready.push(policy.name)
    } else policies.set(policy.name, policy)
  }
  const ofFiles = new Set(policies.keys())
  const reports = objects.map((object): PolicyReport => {
    const { name = '', uid = '' } = object.metadata
    const reading = readings.get(uid)
    const clash = ofFiles.has(name) ? [sameName(name, `${policyApi.kind} ${name}`, 'object')] : []
    const found = [...clash, ...(reading?.problems ?? [])]
    problems.push(...found)
    if (found.length > 0) unready.push(name)
    if (clash.length === 0 && reading?.policy !== undefined) policies.set(name, reading.policy)
    const isFormerUsed = clash.length === 0 && found.length > 0 && reading?.policy !== undefined
    return { object, problems: found, isFormerUsed }
  })
  return { snapshot: { policies: [...policies.values()], unready: [...new Set(unready)], problems }, reports }
}

function sameName(name: string, source: string, what: 'file' | 'object'): Problem {
  const message =
    what === 'file' ? 'two files have a policy of this name' : 'a file has a policy of this name, and counts'
  return { location: { source }, object: `${policyApi.kind} ${name}`, message }
}

function keptPolicy({ metadata, spec, status }: PolicyObject): PolicyObject {
  const { name = '', uid = '', generation } = metadata
  return {
    metadata: { name, uid, ...(generation !== undefined && { generation }) },
    spec,
    ...(status !== undefined && { status }),
  }
}

function editionOf({ metadata }: PolicyObject): string {
  return `${metadata.name} ${metadata.uid} ${metadata.generation}`
}

/** Equal where the same objects are there in the same generations. */
function editionOfAll(objects: readonly PolicyObject[]): string {
  return objects.map(editionOf).toSorted().join('\n')
}
