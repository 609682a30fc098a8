import type { PodReference } from '../issuer/issuer.ts'
import type { AttributeName, AttributeReader } from './attributes.ts'
import { didYouMean } from './did-you-mean.ts'
import { expand } from './expand.ts'

/** What attributes may refer to as `$NAME` or `${NAME}`. */
export type Variables = Readonly<Record<string, string>>

/** @param nodeName - undefined where the node is not known, such as before a volume is published */
export function podVariables(pod: PodReference, nodeName: string | undefined): Variables {
  return {
    POD_NAME: pod.name,
    POD_NAMESPACE: pod.namespace,
    POD_UID: pod.uid,
    SERVICE_ACCOUNT_NAME: pod.serviceAccount,
    ...(nodeName === undefined ? {} : { NODE_NAME: nodeName }),
  }
}

/**
 * Variables for DNS names and e-mail addresses: a value that could reshape such a name becomes one label of it. What Kubernetes
 * takes as a name never does.
 */
export function asLabels(variables: Variables): Variables {
  const label = (value: string): string =>
    value
      .replaceAll(/[^A-Za-z0-9-]+/g, '-')
      .slice(0, 63)
      .replaceAll(/^-+|-+$/g, '')
  return guard(variables, label)
}

/** Variables for URIs: a value that could reshape one is percent-encoded (RFC 3986 §2.1). */
export function asUriParts(variables: Variables): Variables {
  return guard(variables, (value) => encodeURIComponent(value.toWellFormed()))
}

function guard(variables: Variables, tame: (value: string) => string): Variables {
  const tamed = Object.entries(variables).map(([name, value]) => [name, harmless.test(value) ? value : tame(value)])
  return Object.fromEntries(tamed) as Variables
}

const harmless = /^[A-Za-z0-9._:-]*$/

/** A text with its variables replaced; undefined, and a problem for each, where it refers to some that there are not. */
export function expandText(
  reader: AttributeReader,
  name: AttributeName,
  template: string,
  variables: Variables,
): string | undefined {
  const { text, unknown } = expand(template, variables)
  for (const variable of unknown) {
    const guess = didYouMean(variable, Object.keys(variables))
    const hint = guess === undefined ? '' : `, did you mean ${guess}?`
    const known = Object.keys(variables).join(' ')
    reader.problem(name, `undefined variable ${JSON.stringify(variable)}${hint} (known variables: ${known})`)
  }
  return unknown.length === 0 ? text : undefined
}

/** Items are expanded after their list was split, so that no value can add one. */
export function expandItems(
  reader: AttributeReader,
  name: AttributeName,
  items: readonly string[],
  variables: Variables,
): readonly string[] {
  return items.map((item) => expandText(reader, name, item, variables)).filter((item) => item !== undefined)
}
