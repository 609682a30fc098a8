import type { SideCase } from './case.ts'
import { differences } from './differences.ts'
import { pod } from './objects.ts'
import { mark } from './mark-cases.ts'

/** Where the pods of the cases are. */
export const namespaces = { templates: 'side-templates', annotations: 'side-crd-annotations' }

const templated = (name: string, value: string | undefined, hostname?: string) =>
  pod(namespaces.templates, name, {
    ...(value !== undefined && { labels: { identify: value } }),
    ...(hostname !== undefined && { hostname }),
  })

const dnsNames = (name: string) => [`${name}.${namespaces.templates}.test`, `n1.eu.test`]

/** The file's part of {@link templateCases}. */
export const templates = String.raw`
  identity_template = "region/{{.Context.Region}}/{{if eq .Pod.Hostname \"\"}}pod/{{.Pod.Name}}{{else}}host/{{.Pod.Hostname}}{{end}}"
  identity_template_label = "identify"
  context { Region = "eu" }
  dns_name_templates = ["{{.Pod.Name}}.{{.Pod.Namespace}}.test", "{{.Pod.NodeName}}.{{.Context.Region}}.test"]
  add_svc_dns_name = false
`

/** IDs and DNS names from templates, in crd mode. */
export const templateCases: readonly SideCase[] = [
  {
    name: 'a template makes the ID and the DNS names',
    of: `pod/${namespaces.templates}/web`,
    objects: [templated('web', 'true')],
    first: { both: { id: 'region/eu/pod/web', dnsNames: dnsNames('web') } },
  },
  {
    name: 'a condition in a template',
    of: `pod/${namespaces.templates}/hosted`,
    objects: [templated('hosted', 'TRUE', 'primary')],
    first: { both: { id: 'region/eu/host/primary', dnsNames: dnsNames('hosted') } },
  },
  {
    name: 'a pod without the label has no entry until it has it',
    of: `pod/${namespaces.templates}/bare`,
    objects: [templated('bare', undefined)],
    first: { both: 'none' },
    afterwards: {
      change: (world) => world.mark(namespaces.templates, 'bare', { labels: { identify: 'True' } }),
      outcome: { both: { id: 'region/eu/pod/bare', dnsNames: dnsNames('bare') } },
    },
  },
  {
    name: 'a label that does not say true',
    of: `pod/${namespaces.templates}/no`,
    objects: [templated('no', 'yes')],
    first: { both: 'none' },
  },
]

const annotated = (name: string, value: string) => pod(namespaces.annotations, name, { annotations: { [mark]: value } })
const of = (name: string): string => `pod/${namespaces.annotations}/${name}`

/** IDs from annotations, in crd mode. */
export const crdAnnotationCases: readonly SideCase[] = [
  {
    name: 'an annotation may have several segments, and is followed',
    of: of('path'),
    objects: [annotated('path', 'production/web')],
    first: { both: { id: 'production/web', dnsNames: ['path'] } },
    afterwards: {
      change: (world) => world.mark(namespaces.annotations, 'path', { annotations: { [mark]: 'staging/web' } }),
      outcome: { both: { id: 'staging/web', dnsNames: ['path'] } },
    },
  },
  {
    name: 'a pod that loses the annotation',
    of: of('stripped'),
    objects: [annotated('stripped', 'stripped')],
    first: { both: { id: 'stripped', dnsNames: ['stripped'] } },
    afterwards: {
      change: (world) => world.mark(namespaces.annotations, 'stripped', { annotations: { [mark]: null } }),
      outcome: {
        old: { id: 'stripped', dnsNames: ['stripped'] },
        podpass: 'none',
        because: differences.lostMark,
      },
    },
  },
  {
    name: 'an annotation with a space makes no entry',
    of: of('spaced'),
    objects: [annotated('spaced', 'a b')],
    first: { both: 'none' },
  },
]
