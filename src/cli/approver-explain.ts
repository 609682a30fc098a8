import { Command, Option } from 'commander'
import { type Decision, decide } from '../approver/decide.ts'
import { KeyLedger } from '../approver/key-ledger.ts'
import { liveObjectsOf } from '../approver/live-objects.ts'
import { readRequestDocument } from '../approver/request/request-document.ts'
import type { RequestObject } from '../approver/request/request-object.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { isObject } from '../manifest/manifest.ts'
import { inReadingOrder, type Problem } from '../manifest/problem.ts'
import { systemClock } from '../runtime/clock.ts'
import { renderProblems } from '../try/render-problems.ts'
import { readDocuments, readPolicies } from './approver-inputs.ts'
import { decisionReport, renderDecision } from './approver-render.ts'
import { type ApproverFlags, approverOptions, limitsOf, settingsOf } from './approver-settings.ts'
import {
  parseRequestReference,
  readLivePolicies,
  readLiveRequest,
  readSurroundings,
  type RequestReference,
} from './approver-explain-live.ts'
import { connectionConfig, type ConnectionFlags, connectionOptions } from './connection.ts'
import { collect } from './flag-values.ts'
import { lookOf } from './terminal-look.ts'
import { UsageError } from './usage-error.ts'

interface ExplainFlags extends ApproverFlags, ConnectionFlags {
  /** Undefined where none is given. */
  readonly policy?: readonly string[]
  readonly objects: readonly string[]
  readonly mayUse: readonly string[]
  readonly output: 'text' | 'json'
  readonly color: boolean
}

const invalidInput = 2

const examples = `
Examples:
  podpass approver explain csr/web-1                             in the cluster of the kubeconfig file
  podpass approver explain certificaterequest/shop/web-1
  podpass approver explain csr/web-1 --policy new-policy.yaml    what if this were the policy?

  kubectl get csr web-1 -o yaml > request.yaml
  kubectl get pods,services,serviceaccounts -n shop -o yaml > shop.yaml
  podpass approver explain request.yaml --policy policies.yaml --objects shop.yaml

  podpass approver explain request.yaml --policy policies.yaml -o json | jq .decision

Exit codes: 0 the request was explained, whatever the decision, 2 what was given cannot be used.`

/** `podpass approver explain`: what would become of a request, and which rule says so. */
export function explainCommand(): Command {
  const command = new Command('explain')
    .summary('show each rule that a request passes or fails, in a cluster or without one')
    .description(
      'Decides a CertificateSigningRequest, CertificateRequest or PodCertificateRequest as the approver would, and shows every ' +
        'policy, rule, value and outcome. Nothing is written. A request of a cluster is decided on what is there now; with a file, objects ' +
        'that are not given are unknown, as they are before the approver has seen them.',
    )
    .argument(
      '<request>',
      'csr/NAME, certificaterequest/NAMESPACE/NAME, podcertificaterequest/NAMESPACE/NAME, or a file as kubectl get -o yaml prints it; - is standard input',
    )
    .addOption(
      new Option('-p, --policy <file>', "policies; may be given more than once; without it, the cluster's").argParser(
        (file, before?: readonly string[]) => collect(file, before ?? []),
      ),
    )
    .addOption(
      new Option('--objects <file>', 'pods, Services and all else that a policy looks at; may be given more than once')
        .argParser(collect)
        .default([], 'none'),
    )
    .addOption(
      new Option('--may-use <policy>', 'a policy that RBAC lets the requester use; may be given more than once')
        .argParser(collect)
        .default([], 'none'),
    )
    .addOption(new Option('-o, --output <form>', 'how to tell').choices(['text', 'json']).default('text'))
    .option('--no-color', 'no colours, as with NO_COLOR; they are only used on a terminal')
  for (const option of [...approverOptions(), ...connectionOptions()]) command.addOption(option)
  return command.addHelpText('after', examples).action(async (request: string, flags: ExplainFlags) => {
    const reference = parseRequestReference(request)
    process.exitCode = reference === undefined ? await explain(request, flags) : await explainLive(reference, flags)
  })
}

async function explainLive(reference: RequestReference, flags: ExplainFlags): Promise<number> {
  const settings = settingsOf(flags)
  const now = systemClock.now()
  const { signal } = new AbortController()
  await using parts = new AsyncDisposableStack()
  const client = new KubernetesClient(await connectionConfig(flags), { userAgent: 'podpass-approver-explain' })
  parts.defer(() => client.close())
  const request = await readLiveRequest(client, reference, signal)
  const { policies, problems } =
    flags.policy === undefined
      ? await readLivePolicies(client, limitsOf(flags), signal)
      : await readPolicies(flags.policy, limitsOf(flags))
  if (flags.policy !== undefined && problems.length > 0) return tellProblems(problems, flags)
  const { live, lookups, ledger } = await readSurroundings(client, request, settings.drivers, now, signal)
  const unready = problems.flatMap(({ object }) => object ?? [])
  const make = (): Decision =>
    decide({ request, policies, unready, live: lookups.over(live), keys: ledger, settings, now })
  let decision = make()
  // What a policy asks for beside the request's own pods, such as who may use it.
  for (let round = 0; lookups.isIncomplete && round < 4; round++) {
    await lookups.read(signal)
    decision = make()
  }
  tell(request, decision, flags)
  return 0
}

async function explain(file: string, flags: ExplainFlags): Promise<number> {
  if (flags.policy === undefined) throw new UsageError('explain of a file needs --policy: which policies decide')
  const { policies, problems } = await readPolicies(flags.policy, limitsOf(flags))
  const asked = await readDocuments([file])
  const others = await readDocuments(flags.objects)
  const readings = asked.documents.map(readRequestDocument)
  const request = readings.map((reading) => reading.request).find((found) => found !== undefined)
  const all: Problem[] = [
    ...asked.problems,
    ...readings.flatMap((reading) => reading.problems),
    ...problems,
    ...others.problems,
  ]
  if (readings.length !== 1 && asked.problems.length === 0) {
    all.push({ location: { source: file }, message: `holds ${readings.length} objects, and must hold one request` })
  }
  if (request === undefined || all.length > 0) return tellProblems(all, flags)
  const live = liveObjectsOf(
    others.documents.flatMap(({ value }) => objectsOf(value)),
    new Set(flags.mayUse),
  )
  const settings = settingsOf(flags)
  tell(request, decide({ request, policies, live, keys: new KeyLedger(), settings, now: systemClock.now() }), flags)
  return 0
}

function tell(request: RequestObject, decision: Decision, { output, color }: ExplainFlags): void {
  const lines =
    output === 'json'
      ? [JSON.stringify(decisionReport(request, decision), undefined, 2)]
      : renderDecision(request, decision, lookOf(process.stdout, color))
  process.stdout.write(`${lines.join('\n')}\n`)
}

function tellProblems(problems: readonly Problem[], { output, color }: ExplainFlags): number {
  const ordered = inReadingOrder(problems)
  if (output === 'json') process.stdout.write(`${JSON.stringify({ problems: ordered }, undefined, 2)}\n`)
  else process.stderr.write(`${renderProblems(ordered, lookOf(process.stdout, color), 'red').join('\n')}\n`)
  return invalidInput
}

/** A List of kubectl is its items. */
function objectsOf(value: unknown): KubernetesObject[] {
  if (!isObject(value)) return []
  if (Array.isArray(value['items'])) return value['items'].flatMap(objectsOf)
  return isObject(value['metadata']) ? [value as unknown as KubernetesObject] : []
}
