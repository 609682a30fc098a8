import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Option } from 'commander'
import { KubernetesClient } from '../kubernetes/client.ts'
import { inReadingOrder, ManifestError, type Problem } from '../manifest/problem.ts'
import { readSources } from '../manifest/source.ts'
import type { RegistrarConfig } from '../registrar/config/registrar-config.ts'
import { type IdentityRules, identityRules } from '../registrar/desired/identity-rules.ts'
import { keptKeys } from '../registrar/observe.ts'
import type { ClusterListing } from '../registrar/plan/cluster-snapshot.ts'
import { listCluster } from '../registrar/plan/list-cluster.ts'
import { readEntries } from '../registrar/plan/read-entries.ts'
import { readObjects } from '../registrar/plan/read-objects.ts'
import { PodTemplateError } from '../registrar/template/pod-template.ts'
import { systemClock } from '../runtime/clock.ts'
import { silentLog } from '../runtime/log.ts'
import { bundleService } from '../spire/bundle-service.ts'
import type { EntryService } from '../spire/entry.ts'
import { entryService } from '../spire/entry-service.ts'
import type { ServerClient } from '../spire/server-client.ts'
import { connectionConfig, type ConnectionFlags, connectionOptions } from './connection.ts'
import { collect } from './flag-values.ts'
import { readRegistrarSettings } from './registrar-flags.ts'
import { connectServer } from './registrar-server.ts'
import { UsageError } from './usage-error.ts'

/** What `podpass registrar plan` and `explain` read, and from where. */
export interface PlanInputFlags extends ConnectionFlags {
  readonly config: string
  readonly from: readonly string[]
  readonly entries?: string
  readonly spireSocket?: string
  readonly bundle: readonly string[]
  readonly registrarNamespace: string
  readonly output: 'text' | 'json'
  readonly color: boolean
}

/** The flags of {@link PlanInputFlags}. */
export function planInputOptions(): readonly Option[] {
  const inputs = [
    new Option('--config <file>', "the registrar's file, in HCL or JSON").default('k8s-workload-registrar.conf'),
    new Option(
      '--from <file>',
      'objects as kubectl get -o json or yaml prints them; a folder, or - for standard input; may be given more than once',
    )
      .argParser(collect)
      .default([], 'those of the cluster'),
    new Option(
      '--entries <file>',
      'entries as spire-server entry show -output json prints them; - is standard input',
    ).default(undefined, "the SPIRE server's; with --from, none"),
    new Option('--bundle <trust-domain>', 'with a file: a bundle that the server has; may be given more than once')
      .argParser(collect)
      .default([], 'any that is asked for'),
    new Option('--spire-socket <file>', "socket of the SPIRE server, in the place of the file's"),
    new Option('--registrar-namespace <name>', 'where the registrar runs: its lease, and the SpiffeIDs of nodes')
      .env('MY_POD_NAMESPACE')
      .default('spire'),
  ]
  const telling = [
    new Option('-o, --output <form>', 'how to tell').choices(['text', 'json']).default('text'),
    new Option('--no-color', 'no colours, as with NO_COLOR; they are only used on a terminal'),
  ]
  const connection = connectionOptions().filter((option) => option.attributeName() !== 'namespace')
  return [
    ...inputs.map((option) => option.helpGroup('What is compared:')),
    ...telling.map((option) => option.helpGroup('Output:')),
    ...connection.map((option) => option.helpGroup('API server:')),
  ]
}

/** Where something was read, for people. */
export interface ReadFrom {
  readonly objects: string
  readonly entries: string
}

/** Everything that a plan is made of. */
export interface PlanInputs {
  readonly config: RegistrarConfig
  readonly rules: IdentityRules
  /** What is odd about the file. */
  readonly warnings: readonly string[]
  /** The registrar's own. */
  readonly namespace: string
  readonly ownId: string | undefined
  readonly listing: ClusterListing
  readonly entries: Pick<EntryService, 'list'>
  /** Undefined where that is not known. */
  readonly bundles: ReadonlySet<string> | undefined
  readonly from: ReadFrom
  /** Undefined where entries are those of a file, or none. */
  readonly server: ServerClient | undefined
  /** Undefined where objects are those of files. */
  readonly client: KubernetesClient | undefined
}

/**
 * Reads what the flags name. With manifests, nothing is asked that was not named: no cluster and no SPIRE server.
 *
 * @param parts - takes what has to be closed
 * @throws {UsageError} for a file that is wrong
 * @throws {ManifestError} for objects and entries that cannot be read
 */
export async function readPlanInputs(
  flags: PlanInputFlags,
  parts: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<PlanInputs> {
  const { config, warnings, connection } = await readRegistrarSettings(flags)
  if (flags.from.includes('-') && flags.entries === '-')
    throw new UsageError('--from - and --entries - cannot both be standard input')
  const isOffline = flags.from.length > 0
  const found = await readServer(flags, config, parts, signal)
  const rules = rulesOf(config, found.ownId)
  const common = { config, rules, warnings, namespace: flags.registrarNamespace, ...found }
  if (isOffline) {
    const listing = await readListing(flags.from, rules)
    return { ...common, listing, client: undefined, from: { objects: flags.from.join(', '), entries: found.name } }
  }
  const settings = await connectionConfig(connection)
  const client = new KubernetesClient(settings, { userAgent: 'podpass-registrar-plan' })
  parts.defer(() => client.close())
  const listing = await listCluster(client, config, rules, signal)
  return { ...common, listing, client, from: { objects: settings.server, entries: found.name } }
}

/** What is known of a SPIRE server. */
type ServerReading = Pick<PlanInputs, 'entries' | 'bundles' | 'ownId' | 'server'> & { readonly name: string }

async function readServer(
  { from, entries, bundle, spireSocket }: PlanInputFlags,
  config: RegistrarConfig,
  parts: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ServerReading> {
  const named = bundle.length === 0 ? undefined : new Set(bundle)
  if (entries !== undefined || (from.length > 0 && spireSocket === undefined)) {
    const name = entries === undefined ? 'none' : entries === '-' ? 'standard input' : entries
    return {
      entries: entries === undefined ? listOf([]) : await readEntriesOf(entries),
      bundles: named,
      ownId: undefined,
      server: undefined,
      name,
    }
  }
  const address = spireSocket === undefined ? config.server : ({ by: 'socket', path: spireSocket } as const)
  const { server, ownId } = connectServer(parts, address, config.trustDomain, systemClock, silentLog)
  // This call says what is wrong where this process has no SVID.
  const bundles = await bundleService(server).federatedTrustDomains(signal)
  return { entries: entryService(server), bundles, ownId: await ownId(signal), server, name: server.address }
}

/** @throws {UsageError} where a template has no result for any pod */
function rulesOf(config: RegistrarConfig, ownId: string | undefined): IdentityRules {
  try {
    return identityRules(config, ownId)
  } catch (error) {
    throw error instanceof PodTemplateError ? new UsageError(error.message, { cause: error }) : error
  }
}

/** As large as a cluster's pods may be, in bytes. */
const largestFile = 512 * 1024 * 1024

async function readListing(paths: readonly string[], rules: IdentityRules): Promise<ClusterListing> {
  const files = (await Promise.all(paths.map(filesOf))).flat()
  const { sources, problems: unreadable } = await readSources(files, process.stdin, largestFile)
  const { listing, problems } = readObjects(sources, keptKeys(rules))
  refuse([...unreadable, ...problems])
  return listing
}

/** The manifests of a folder, as kubectl takes them; a file is itself. */
async function filesOf(path: string): Promise<readonly string[]> {
  const isFolder =
    path !== '-' &&
    (await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    ))
  if (!isFolder) return [path]
  const names = (await readdir(path)).filter((name) => /\.(?:ya?ml|json)$/.test(name)).toSorted()
  if (names.length === 0) throw new UsageError(`--from ${path}: the folder holds no .yaml, .yml or .json file`)
  return names.map((name) => join(path, name))
}

async function readEntriesOf(file: string): Promise<Pick<EntryService, 'list'>> {
  const { sources, problems } = await readSources([file], process.stdin, largestFile)
  const readings = sources.map(readEntries)
  refuse([...problems, ...readings.flatMap((reading) => reading.problems)])
  return listOf(readings.flatMap(({ entries }) => entries))
}

function listOf(entries: Awaited<ReturnType<typeof readEntries>>['entries']): Pick<EntryService, 'list'> {
  return {
    async *list() {
      yield entries
    },
  }
}

function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new ManifestError(inReadingOrder(problems))
}
