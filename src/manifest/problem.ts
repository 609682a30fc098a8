/** A place in what the user gave. */
export interface Location {
  /** The file as the user named it, or `standard input`. */
  readonly source: string
  /** Counted from 1; absent where the whole file is meant. */
  readonly line?: number
  /** Counted from 1. */
  readonly column?: number
}

/** Something that the user has to mend before anything can be played. Never holds an attribute's value that may be a password. */
export interface Problem {
  readonly location: Location
  /** The object, such as `Pod sandbox/my-csi-app`. */
  readonly object?: string
  /** The name of the volume in its pod. */
  readonly volume?: string
  /** The full key of the volume attribute. */
  readonly attribute?: string
  readonly message: string
}

/** Something odd that does not stop the play: the same places, other weight. */
export type Note = Problem

/** What the user gave cannot be played. Exit code 2. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
  readonly code = 'MANIFEST_INVALID'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(`${problems.length === 1 ? '1 problem' : `${problems.length} problems`} in what was given`)
    this.problems = inReadingOrder(problems)
  }
}

/** Problems in the order in which they stand in their files; those of whole files stay in front of what is in them. */
export function inReadingOrder(problems: readonly Problem[]): Problem[] {
  const sources = [...new Set(problems.map(({ location }) => location.source))]
  const rank = ({ location: { source, line = 0, column = 0 } }: Problem): [number, number, number] => [
    sources.indexOf(source),
    line,
    column,
  ]
  return problems.toSorted((left, right) => {
    const [a, b] = [rank(left), rank(right)]
    return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
  })
}
