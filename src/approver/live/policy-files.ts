import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Field, readManifest } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import { readSources } from '../../manifest/source.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type FileChanges, watchFiles } from '../../runtime/file-changes.ts'
import type { Log } from '../../runtime/log.ts'
import { policyApi } from '../policy/certificate-policy.ts'
import type { Policy } from '../policy/policy.ts'
import type { PolicyLimits } from '../policy/policy-problems.ts'
import { isPolicyDocument } from '../policy/read-policy.ts'
import { readPolicyDocument } from './read-policy-document.ts'

/** The policies of a folder, and what is wrong with the files in it. */
export interface FilePolicies {
  readonly policies: readonly Policy[]
  /** What cannot be used as it stands now: policies by their names, and files. */
  readonly unready: readonly string[]
  readonly problems: readonly Problem[]
}

export interface PolicyFilesOptions {
  readonly directory: string
  readonly limits: PolicyLimits
  /** Told when a file was added, changed or removed; {@link PolicyFiles.read} tells what is in them. */
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
}

/** Files that are taken for policies. A ConfigMap's links `..data` and the like have other names. */
const policyFile = /^[^.].*\.(?:ya?ml|json)$/

/** A folder of policies, such as that of a mounted ConfigMap. A file with a mistake in it keeps what it last said without one. */
export class PolicyFiles {
  readonly #options: PolicyFilesOptions
  readonly #changes: FileChanges
  /** The policies of each file when it was last without mistake. */
  #lastGood: ReadonlyMap<string, readonly Policy[]> = new Map()

  constructor(options: PolicyFilesOptions) {
    this.#options = options
    const { directory, clock, onChange, log } = options
    this.#changes = watchFiles([join(directory, 'any')], clock, onChange, (error) =>
      log.error({ error, directory }, 'the folder of policies cannot be watched: changes are seen at the next start'),
    )
  }

  /** Reads every file. Never rejects: what cannot be read is a problem, and what was read before still counts. */
  async read(): Promise<FilePolicies> {
    const { directory } = this.#options
    let names: readonly string[]
    try {
      names = (await readdir(directory)).filter((name) => policyFile.test(name)).toSorted()
    } catch (error) {
      const problem = { location: { source: directory }, message: `cannot be read: ${(error as Error).message}` }
      return { policies: [...this.#lastGood.values()].flat(), unready: [directory], problems: [problem] }
    }
    const readings = await Promise.all(names.map((name) => this.#readFile(join(directory, name))))
    const lastGood = new Map<string, readonly Policy[]>()
    for (const { file, policies } of readings) if (policies.length > 0) lastGood.set(file, policies)
    this.#lastGood = lastGood
    return {
      policies: readings.flatMap(({ policies }) => policies),
      unready: readings.flatMap(({ unready }) => unready),
      problems: readings.flatMap(({ problems }) => problems),
    }
  }

  close(): void {
    this.#changes.close()
  }

  async #readFile(file: string): Promise<FilePolicies & { readonly file: string }> {
    const { documents, problems } = await readDocuments(file)
    const readings = await Promise.all(documents.map((document) => readPolicyDocument(document, this.#options.limits)))
    const all = [...problems, ...readings.flatMap((reading) => reading.problems)]
    if (all.length === 0) {
      return { file, policies: readings.flatMap(({ policy }) => policy ?? []), unready: [], problems: [] }
    }
    const broken = readings.filter(({ policy }) => policy === undefined).map(({ name }) => name ?? file)
    return {
      file,
      policies: this.#lastGood.get(file) ?? [],
      unready: broken.length === 0 ? [file] : broken,
      problems: all,
    }
  }
}

async function readDocuments(
  file: string,
): Promise<{ readonly documents: readonly Field[]; readonly problems: readonly Problem[] }> {
  const { sources, problems } = await readSources([file], nothing())
  const manifests = sources.map(readManifest)
  const documents = manifests.flatMap((manifest) => manifest.documents)
  const strangers = documents
    .filter((document) => !isPolicyDocument(document))
    .map(({ location }) => ({ location, message: `is no ${policyApi.kind}` }))
  return {
    documents: documents.filter(isPolicyDocument),
    problems: [...problems, ...manifests.flatMap((manifest) => manifest.problems), ...strangers],
  }
}

/** Standard input is no source here. */
async function* nothing(): AsyncGenerator<Uint8Array, void, void> {}
