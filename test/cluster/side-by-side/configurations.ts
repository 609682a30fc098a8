import { accountCases, namespaces as accounts } from './account-cases.ts'
import type { SideCase } from './case.ts'
import { generatedCases, namespaces as crd } from './crd-cases.ts'
import { differences } from './differences.ts'
import { dnsCases, namespace as names } from './dns-cases.ts'
import { annotationCases, labelCases, mark, namespaces as marks } from './mark-cases.ts'
import { type MadeObject, pod } from './objects.ts'
import { spiffeIdCases } from './spiffe-id-cases.ts'
import { crdAnnotationCases, namespaces as templated, templateCases, templates } from './template-cases.ts'

/** A registrar's file, and the cases to put it before. */
export interface Configuration {
  readonly name: string
  readonly mode: 'reconcile' | 'crd'
  /** What the file says besides mode, server, trust domain and cluster. */
  readonly file: string
  readonly namespaces: readonly string[]
  readonly cases: readonly SideCase[]
  /** A pod that has an entry in any case: once it has it, everything before it has been seen. */
  readonly marker: (name: string) => MadeObject
  /** What comes of it when both start again with another file. */
  readonly later?: { readonly file: string; readonly cases: readonly Pick<SideCase, 'name' | 'of' | 'first'>[] }
}

const quietReconcile = 'metrics_addr = "0"'
const quietCrd = 'metrics_bind_addr = "0"'

const accountFile = (disabled: readonly string[]): string => `
  ${quietReconcile}
  controller_name = "with-accounts"
  disabled_namespaces = ${JSON.stringify(['kube-system', ...disabled])}
`

export const configurations: readonly Configuration[] = [
  {
    name: 'reconcile, with service accounts',
    mode: 'reconcile',
    file: accountFile([accounts.off]),
    namespaces: Object.values(accounts),
    cases: accountCases,
    marker: (name) => pod(accounts.namespace, name),
    later: {
      file: accountFile([accounts.off, accounts.later]),
      cases: [
        {
          name: 'a pod of a namespace that is disabled now',
          of: `pod/${accounts.later}/web`,
          first: {
            old: { id: `ns/${accounts.later}/sa/default` },
            podpass: 'none',
            because: differences.disabledLater,
          },
        },
      ],
    },
  },
  {
    name: 'reconcile, with DNS names',
    mode: 'reconcile',
    file: `${quietReconcile}\ncontroller_name = "with-names"\nadd_pod_dns_names = true`,
    namespaces: [names],
    cases: dnsCases,
    marker: (name) => pod(names, name),
  },
  {
    name: 'reconcile, with labels',
    mode: 'reconcile',
    file: `${quietReconcile}\ncontroller_name = "with-labels"\npod_label = "${mark}"\ntermination = "at_deletion"`,
    namespaces: [marks.labels],
    cases: labelCases,
    marker: (name) => pod(marks.labels, name, { labels: { [mark]: name } }),
  },
  {
    name: 'reconcile, with annotations',
    mode: 'reconcile',
    file: `${quietReconcile}\ncontroller_name = "with-annotations"\npod_annotation = "${mark}"`,
    namespaces: [marks.annotations],
    cases: annotationCases,
    marker: (name) => pod(marks.annotations, name, { annotations: { [mark]: name } }),
  },
  {
    name: 'crd, with its defaults',
    mode: 'crd',
    file: `
      ${quietCrd}
      disabled_namespaces = ["kube-system", "${crd.off}"]
      allow_downstream_namespaces = ["${crd.namespace}"]
    `,
    namespaces: Object.values(crd),
    cases: [...generatedCases, ...spiffeIdCases],
    marker: (name) => pod(crd.namespace, name),
  },
  {
    name: 'crd, with templates',
    mode: 'crd',
    file: `${quietCrd}\n${templates}`,
    namespaces: [templated.templates],
    cases: templateCases,
    marker: (name) => pod(templated.templates, name, { labels: { identify: 'true' } }),
  },
  {
    name: 'crd, with annotations',
    mode: 'crd',
    file: `${quietCrd}\npod_annotation = "${mark}"`,
    namespaces: [templated.annotations],
    cases: crdAnnotationCases,
    marker: (name) => pod(templated.annotations, name, { annotations: { [mark]: name } }),
  },
]
