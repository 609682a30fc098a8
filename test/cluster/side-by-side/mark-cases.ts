import type { SideCase } from './case.ts'
import { differences } from './differences.ts'
import { type MadePod, node, pod } from './objects.ts'

/** Where the pods of the cases are. */
export const namespaces = { labels: 'side-labels', annotations: 'side-annotations' }

/** The label's, and the annotation's key. */
export const mark = 'example.org/id'

const labelled = (name: string, value: string | undefined, made: MadePod = {}) =>
  pod(namespaces.labels, name, { ...made, ...(value !== undefined && { labels: { [mark]: value } }) })
const ofLabelled = (name: string): string => `pod/${namespaces.labels}/${name}`

/** IDs from labels, and identities that end at deletion, in reconcile mode. */
export const labelCases: readonly SideCase[] = [
  {
    name: "a pod's ID is its label, and follows it",
    of: ofLabelled('web'),
    objects: [labelled('web', 'Web.1_x-y')],
    first: { both: { id: 'Web.1_x-y' } },
    afterwards: {
      change: (world) => world.mark(namespaces.labels, 'web', { labels: { [mark]: 'web-2' } }),
      outcome: { both: { id: 'web-2' } },
    },
  },
  {
    name: 'a pod without the label has no entry until it has one',
    of: ofLabelled('bare'),
    objects: [labelled('bare', undefined)],
    first: { both: 'none' },
    afterwards: {
      change: (world) => world.mark(namespaces.labels, 'bare', { labels: { [mark]: 'bare' } }),
      outcome: { both: { id: 'bare' } },
    },
  },
  {
    name: 'a pod that loses the label loses its entry',
    of: ofLabelled('stripped'),
    objects: [labelled('stripped', 'stripped')],
    first: { both: { id: 'stripped' } },
    afterwards: {
      change: (world) => world.mark(namespaces.labels, 'stripped', { labels: { [mark]: null } }),
      outcome: { both: 'none' },
    },
  },
  {
    name: 'an empty label makes no entry',
    of: ofLabelled('empty'),
    objects: [labelled('empty', '')],
    first: { both: 'none' },
  },
  {
    name: 'an entry stays where the label becomes empty',
    of: ofLabelled('emptied'),
    objects: [labelled('emptied', 'emptied')],
    first: { both: { id: 'emptied' } },
    afterwards: {
      change: (world) => world.mark(namespaces.labels, 'emptied', { labels: { [mark]: '' } }),
      outcome: { both: { id: 'emptied' } },
    },
  },
  {
    name: 'a static pod with the label',
    of: ofLabelled('static'),
    objects: [labelled('static', 'static', { isStatic: true })],
    first: { old: { id: 'static' }, podpass: 'none', because: differences.staticPods },
  },
  {
    name: "an ID of SPIRE's own makes no entry",
    of: ofLabelled('spire'),
    objects: [labelled('spire', 'spire')],
    first: { both: 'none' },
  },
  {
    name: 'with termination = "at_deletion" an entry goes as the deletion of the pod begins',
    of: ofLabelled('ending'),
    objects: [labelled('ending', 'ending')],
    first: { both: { id: 'ending' } },
    afterwards: {
      change: (world) => world.beginToRemove(`pod ending -n ${namespaces.labels}`),
      outcome: { both: 'none' },
    },
  },
  {
    name: 'with termination = "at_deletion" an alias goes as the deletion of the node begins',
    of: 'node/l1',
    objects: [node('l1')],
    first: { both: { id: 'with-labels/demo/node/l1' } },
    afterwards: { change: (world) => world.beginToRemove('node l1'), outcome: { both: 'none' } },
  },
]

const annotated = (name: string, value: string) => pod(namespaces.annotations, name, { annotations: { [mark]: value } })
const ofAnnotated = (name: string): string => `pod/${namespaces.annotations}/${name}`

/** IDs from annotations, in reconcile mode. */
export const annotationCases: readonly SideCase[] = [
  {
    name: "a pod's ID is its annotation, and follows it",
    of: ofAnnotated('web'),
    objects: [annotated('web', 'web')],
    first: { both: { id: 'web' } },
    afterwards: {
      change: (world) => world.mark(namespaces.annotations, 'web', { annotations: { [mark]: 'web-2' } }),
      outcome: { both: { id: 'web-2' } },
    },
  },
  {
    name: 'a pod that loses the annotation loses its entry',
    of: ofAnnotated('stripped'),
    objects: [annotated('stripped', 'stripped')],
    first: { both: { id: 'stripped' } },
    afterwards: {
      change: (world) => world.mark(namespaces.annotations, 'stripped', { annotations: { [mark]: null } }),
      outcome: { both: 'none' },
    },
  },
  {
    name: 'an annotation of several segments',
    of: ofAnnotated('path'),
    objects: [annotated('path', 'production/web')],
    first: { old: 'none', podpass: { id: 'production/web' }, because: differences.slashes },
  },
  {
    name: 'an annotation with a space makes no entry',
    of: ofAnnotated('spaced'),
    objects: [annotated('spaced', 'a b')],
    first: { both: 'none' },
  },
  {
    name: 'an entry stays where the annotation can be no ID any more',
    of: ofAnnotated('spoiled'),
    objects: [annotated('spoiled', 'spoiled')],
    first: { both: { id: 'spoiled' } },
    afterwards: {
      change: (world) => world.mark(namespaces.annotations, 'spoiled', { annotations: { [mark]: 'a b' } }),
      outcome: { both: { id: 'spoiled' } },
    },
  },
  {
    name: 'the dot segment of an annotation is no ID',
    of: ofAnnotated('dots'),
    objects: [annotated('dots', '..')],
    first: { both: 'none' },
  },
]
