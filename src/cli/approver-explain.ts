import { Command, Option } from 'commander'
import { decide } from '../approver/decide.ts'
import { KeyLedger } from '../approver/key-ledger.ts'
import { liveObjectsOf } from '../approver/live-objects.ts'
import { readRequestDocument } from '../approver/request/request-document.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { isObject } from '../manifest/manifest.ts'
import { inReadingOrder, type Problem } from '../manifest/problem.ts'
import { systemClock } from '../runtime/clock.ts'
import { renderProblems } from '../try/render-problems.ts'
import { readDocuments, readPolicies } from './approver-inputs.ts'
import { decisionReport, renderDecision } from './approver-render.ts'
import { type ApproverFlags, approverOptions, limitsOf, settingsOf } from './approver-settings.ts'
import { collect } from './flag-values.ts'
import { lookOf } from './terminal-look.ts'

interface ExplainFlags extends ApproverFlags {
  readonly policy: readonly string[]
  readonly objects: readonly string[]
  readonly mayUse: readonly string[]
  readonly output: 'text' | 'json'
  readonly color: boolean
}

const invalidInput = 2

const examples = `
Examples:
  kubectl get csr web-1 -o yaml > request.yaml
  kubectl get pods,services,serviceaccounts -n shop -o yaml > shop.yaml
  podpass approver explain request.yaml --policy policies.yaml --objects shop.yaml

  podpass approver explain request.yaml --policy policies.yaml -o json | jq .decision

Exit codes: 0 the request was explained, whatever the decision, 2 what was given cannot be used.`

/** `podpass approver explain`: what would become of a request, and which rule says so. */
export function explainCommand(): Command {
  const command = new Command('explain')
    .summary('show each rule that a request passes or fails, without a cluster')
    .description(
      'Decides a CertificateSigningRequest, CertificateRequest or PodCertificateRequest as the approver would, and shows every ' +
        'policy, rule, value and outcome. Objects that are not given are unknown, as they are before the approver has seen them.',
    )
    .argument('<file>', 'the request in YAML or JSON, as kubectl get -o yaml prints it; - is standard input')
    .addOption(
      new Option('-p, --policy <file>', 'policies; may be given more than once')
        .argParser((file, before?: readonly string[]) => collect(file, before ?? []))
        .makeOptionMandatory(),
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
  for (const option of approverOptions()) command.addOption(option)
  return command.addHelpText('after', examples).action(async (file: string, flags: ExplainFlags) => {
    process.exitCode = await explain(file, flags)
  })
}

async function explain(file: string, flags: ExplainFlags): Promise<number> {
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
  const look = lookOf(process.stdout, flags.color)
  if (request === undefined || all.length > 0) {
    const ordered = inReadingOrder(all)
    if (flags.output === 'json') process.stdout.write(`${JSON.stringify({ problems: ordered }, undefined, 2)}\n`)
    else process.stderr.write(`${renderProblems(ordered, look, 'red').join('\n')}\n`)
    return invalidInput
  }
  const live = liveObjectsOf(
    others.documents.flatMap(({ value }) => objectsOf(value)),
    new Set(flags.mayUse),
  )
  const settings = settingsOf(flags)
  const decision = decide({ request, policies, live, keys: new KeyLedger(), settings, now: systemClock.now() })
  if (flags.output === 'json')
    process.stdout.write(`${JSON.stringify(decisionReport(request, decision), undefined, 2)}\n`)
  else process.stdout.write(`${renderDecision(request, decision, look).join('\n')}\n`)
  return 0
}

/** A List of kubectl is its items. */
function objectsOf(value: unknown): KubernetesObject[] {
  if (!isObject(value)) return []
  if (Array.isArray(value['items'])) return value['items'].flatMap(objectsOf)
  return isObject(value['metadata']) ? [value as unknown as KubernetesObject] : []
}
