import { dnsNameProblem } from '../../spire/dns-name.ts'
import { pathProblem } from '../../spire/spiffe-id.ts'
import type { ObservedPod } from '../observed.ts'
import { executeTemplate } from './execute-template.ts'
import { parseTemplate, type Template } from './parse-template.ts'
import { TemplateError } from './template-error.ts'
import type { Fields, TextMap } from './value.ts'

/** A template of the configuration that has no result: at start for every pod, else for one. */
export class PodTemplateError extends Error {
  override readonly name = 'PodTemplateError'
  readonly code = 'POD_TEMPLATE_INVALID'
}

/** A template over a pod, which was tried out once. */
export interface PodTemplate {
  readonly is: 'identity' | 'dns name'
  readonly template: Template
  /** `.Context`: what the configuration says. */
  readonly context: TextMap
}

/** What a template sees of a pod as `.Pod`. */
type TemplatePod = Pick<ObservedPod, 'name' | 'uid' | 'namespace' | 'serviceAccount' | 'hostname' | 'nodeName'>

/** The words of SPIRE's k8s-workload-registrar. */
const words = {
  identity: {
    parsing: 'parsing identity template',
    executing: 'executing identity template',
    validating: 'validating identity template',
  },
  'dns name': {
    parsing: 'parsing dns name template',
    executing: 'executing the dns name template',
    validating: 'validating the dns name template',
  },
} as const

/** What SPIRE's registrar tries templates with. */
const trialPod: TemplatePod = {
  name: 'xx',
  uid: '123',
  namespace: 'xx',
  serviceAccount: 'xx',
  hostname: 'xx',
  nodeName: 'xx',
}

/**
 * Reads a template of an ID's path, without its leading slash, and tries it out.
 *
 * @param context - undefined where the configuration has none
 * @throws {PodTemplateError} `parsing identity template: line 1: …`, `executing …` or `validating …`
 */
export function readIdentityTemplate(text: string, context: Readonly<Record<string, string>> | undefined): PodTemplate {
  return readPodTemplate('identity', text, context)
}

/**
 * Reads a template of a DNS name, and tries it out. Spaces of its result mean nothing: SPIRE's registrar took all of them out of the
 * template.
 *
 * @throws {PodTemplateError} `parsing dns name template: line 1: …`, `executing the …` or `validating the …`
 */
export function readDnsNameTemplate(text: string, context: Readonly<Record<string, string>> | undefined): PodTemplate {
  return readPodTemplate('dns name', text, context)
}

function readPodTemplate(
  is: PodTemplate['is'],
  text: string,
  context: Readonly<Record<string, string>> | undefined,
): PodTemplate {
  const template = inWords(words[is].parsing, () => parseTemplate(text))
  const podTemplate: PodTemplate = { is, template, context: new Map(Object.entries(context ?? {})) }
  expandPodTemplate(podTemplate, trialPod)
  return podTemplate
}

/**
 * The path, without its leading slash, or the DNS name that a template makes of a pod.
 *
 * @throws {PodTemplateError} `executing identity template: …` or `validating …`, as at start
 */
export function expandPodTemplate({ is, template, context }: PodTemplate, pod: TemplatePod): string {
  const result = inWords(words[is].executing, () => executeTemplate(template, { Context: context, Pod: fieldsOf(pod) }))
  const name = is === 'identity' ? result : result.replaceAll(' ', '')
  const problem = is === 'identity' ? pathProblem(`/${name}`) : dnsNameProblem(name)
  if (problem !== undefined) throw new PodTemplateError(`${words[is].validating}: ${JSON.stringify(name)}: ${problem}`)
  return name
}

function fieldsOf(pod: TemplatePod): Fields {
  return {
    Name: pod.name,
    UID: pod.uid,
    Namespace: pod.namespace,
    ServiceAccount: pod.serviceAccount,
    Hostname: pod.hostname,
    NodeName: pod.nodeName,
  }
}

function inWords<T>(doing: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TemplateError) throw new PodTemplateError(`${doing}: ${error.message}`, { cause: error })
    throw error
  }
}
