/** What a pod's request rests on is being read, or has just changed. The request is looked at again. */
export class UndecidedError extends Error {
  override readonly name = 'UndecidedError'
  readonly code = 'POD_REQUEST_UNDECIDED'
}
