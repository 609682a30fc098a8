import { isReservedPath, isWithin } from '../../spire/spiffe-id.ts'

/** The IDs that no workload gets from a registrar, whoever asks for them. */
export interface ReservedIds {
  /** First segments of the IDs of node aliases, of any cluster: whoever has such an ID is a parent of workloads. */
  readonly controllerNames: readonly string[]
  /** The path of the registrar's own ID, which makes its holder an administrator of the server; undefined where it is not known. */
  readonly ownPath: string | undefined
}

/** What crd and webhook mode call themselves in IDs. */
export const registrarName = 'k8s-workload-registrar'

/** What reconcile mode calls itself, unless it is told otherwise. */
export const reconcilerName = 'spire-k8s-registrar'

/** @param controllerName - as configured; those of other registrars' defaults are reserved too */
export function reservedIds(controllerName: string | undefined, ownPath: string | undefined): ReservedIds {
  const names = [registrarName, reconcilerName, ...(controllerName === undefined ? [] : [controllerName])]
  return { controllerNames: [...new Set(names)], ownPath }
}

/**
 * Why a path is reserved, as a clause about it; undefined where it is not.
 *
 * @param path - of a SPIFFE ID, with its leading slash
 */
export function reservedProblem(path: string, { controllerNames, ownPath }: ReservedIds): string | undefined {
  if (isReservedPath(path)) return "is one of SPIRE's own IDs"
  if (path === ownPath) return "is the registrar's own ID"
  const [, name = '', cluster = '', kind = ''] = path.split('/')
  if (controllerNames.includes(name) && isWithin(path, `/${name}/${cluster}/node`)) return 'belongs to node aliases'
  if (name === registrarName && kind === 'webhook') return "belongs to the registrar's webhook"
  return undefined
}
