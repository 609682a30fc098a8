import type { Decision, PolicyOutcome } from '../approver/decide.ts'
import type { RuleOutcome } from '../approver/outcome.ts'
import { formatName, listNames } from '../approver/request/asked-names.ts'
import { askedSigner, formatRequest, formatSigner, type RequestObject } from '../approver/request/request-object.ts'
import { formatGoDuration } from '../runtime/go-duration.ts'
import { clean, type Look, paint, type Style, wrap } from '../try/look.ts'
import { formatKeySpec } from '../x509/key.ts'

const decisionStyles = {
  approve: 'green',
  deny: 'red',
  wait: 'yellow',
  'leave alone': 'dim',
} as const satisfies Record<Decision['is'], Style>

/** A decision for people: who asks for what, what each policy says to it, and what comes of it. */
export function renderDecision(request: RequestObject, decision: Decision, look: Look): string[] {
  const { is, reason, message, policies } = decision
  return [
    paint(look, 'bold', clean(`${formatRequest(request)} to ${formatSigner(askedSigner(request))}`)),
    ...field('from', subjectText(decision), look),
    ...field('asks for', askedText(decision), look),
    '',
    ...decision.request.flatMap((outcome) => ruleLines(outcome, look)),
    ...policies.flatMap((outcome) => policyLines(outcome, look)),
    '',
    ...(decision.granted === undefined
      ? []
      : field(
          'issues',
          listNames(decision.granted.names)
            .map(({ kind, name }) => formatName(kind, name))
            .join(', '),
          look,
        )),
    `${paint(look, decisionStyles[is], is)} (${reason})`,
    ...wrap(message, look.width - 2).map((line) => `  ${line}`),
  ]
}

function policyLines({ policy, result, why, rules }: PolicyOutcome, look: Look): string[] {
  const heading = rules.length > 0 ? result : `${result}, ${why}`
  return [
    '',
    paint(look, 'bold', clean(`policy ${policy}: ${heading}`)),
    ...rules.flatMap((rule) => ruleLines(rule, look)),
  ]
}

function field(name: string, text: string, look: Look): string[] {
  const [first = '', ...rest] = wrap(text, look.width - 12)
  return [`  ${name.padEnd(8)}  ${first}`, ...rest.map((line) => `            ${line}`)]
}

function subjectText({ subject }: Decision): string {
  const { requester, pod, namespace, node, serviceAccount } = subject
  const who =
    pod === undefined
      ? undefined
      : `pod ${namespace ?? ''}/${pod.name} (${serviceAccount?.name ?? ''})${node === undefined ? '' : ` on ${node}`}`
  return [requester?.username, who].filter((part) => part !== undefined).join(', for ') || 'nobody'
}

function askedText({ asked }: Decision): string {
  if (asked === undefined) return 'what cannot be read'
  const names = listNames(asked.names).map(({ kind, name }) => formatName(kind, name))
  const duration = asked.duration === undefined ? [] : [formatGoDuration(asked.duration)]
  return [names.join(', '), formatKeySpec(asked.key), asked.usages.join(', '), ...duration]
    .filter((part) => part !== '')
    .join(' · ')
}

function ruleLines({ rule, result, nature, value, why, isUserControlled }: RuleOutcome, look: Look): string[] {
  const isGood = result === 'passed'
  const marks = [!isGood && (nature === 'intrinsic' ? 'for good' : 'may change'), isUserControlled && "user's own word"]
  const suffix = marks.filter((mark) => mark !== false && mark !== undefined).map((mark) => ` [${mark}]`)
  const text = `${rule}: ${value === '' ? '' : `${value}: `}${why}${suffix.join('')}`
  const [first = '', ...rest] = wrap(text, look.width - 4)
  return [
    `  ${paint(look, isGood ? 'green' : 'red', isGood ? '✓' : '✗')} ${first}`,
    ...rest.map((line) => `    ${line}`),
  ]
}

/** A decision for scripts. Its shape is the same from one minor version to the next; fields may be added. */
export function decisionReport(request: RequestObject, decision: Decision) {
  const { is, reason, message, policy, policies, asked, owner, granted, subject } = decision
  const { namespace, serviceAccount, pod, node, requester } = subject
  return {
    request: formatRequest(request),
    signer: formatSigner(askedSigner(request)),
    decision: is,
    reason,
    message,
    policy,
    subject: { username: requester?.username, namespace, serviceAccount: serviceAccount?.name, pod: pod?.name, node },
    owner,
    asks: asked && {
      names: listNames(asked.names).map(({ kind, name }) => formatName(kind, name)),
      key: formatKeySpec(asked.key),
      usages: asked.usages,
      durationSeconds: asked.duration === undefined ? undefined : asked.duration / 1000,
    },
    issues: granted && {
      names: listNames(granted.names).map(({ kind, name }) => formatName(kind, name)),
      usages: granted.usages,
      longestSeconds: granted.longest / 1000,
    },
    rules: decision.request,
    policies,
  }
}
