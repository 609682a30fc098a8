import type { KubernetesClient } from '../kubernetes/client.ts'
import type { CsiDriver } from '../kubernetes/object.ts'
import { type Outage, Reflector, type ReflectorTrouble } from '../kubernetes/reflector.ts'
import { csiDrivers } from '../kubernetes/resource.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

/**
 * What is wrong with a CSIDriver object, for people. Without `podInfoOnMount` the kubelet leaves the pod's name and account to
 * whatever the pod's author writes, so identities could be forged.
 */
export function csiDriverObstacle(
  name: string,
  object: CsiDriver | undefined,
  useTokenRequest: boolean,
): string | undefined {
  if (object === undefined) return `there is no CSIDriver object ${name}; create it (deploy/driver/csidriver.yaml)`
  const { podInfoOnMount, volumeLifecycleModes = ['Persistent'] } = object.spec
  const changes: string[] = []
  if (podInfoOnMount !== true) changes.push('podInfoOnMount: true')
  if (!volumeLifecycleModes.includes('Ephemeral'))
    changes.push('volumeLifecycleModes: [Ephemeral] (delete and create it anew)')
  if (useTokenRequest) {
    changes.push(...tokenChanges(object, ''))
  }
  return changes.length === 0 ? undefined : `the CSIDriver object ${name} must have ${changes.join(' and ')}`
}

/** What a CSIDriver object lacks so that the kubelet keeps sending tokens of an audience. */
function tokenChanges({ spec: { tokenRequests = [], requiresRepublish } }: CsiDriver, audience: string): string[] {
  return [
    ...(tokenRequests.some((request) => request.audience === audience)
      ? []
      : [`tokenRequests: [{audience: ${JSON.stringify(audience)}}]`]),
    ...(requiresRepublish === true ? [] : ['requiresRepublish: true']),
  ]
}

/** Watches the CSIDriver object and says whether new volumes may be served. */
export class CsiDriverGuard {
  readonly #name: string
  readonly #log: Log
  readonly #reflector: Reflector<CsiDriver, CsiDriver>
  readonly #useTokenRequest: boolean
  #trouble: ReflectorTrouble | undefined
  /** What is wrong with the object, once it was read. */
  #obstacle: string | undefined

  /** @param useTokenRequest - whether requests are made with the tokens of pods, which the object must then ask for */
  constructor(name: string, client: KubernetesClient, useTokenRequest: boolean, clock: Clock, log: Log) {
    this.#name = name
    this.#useTokenRequest = useTokenRequest
    this.#log = log
    this.#reflector = new Reflector({
      client,
      clock,
      log,
      resource: csiDrivers,
      fieldSelector: `metadata.name=${name}`,
      transform: (object) => object,
      handler: {
        added: (object) => this.#look(object),
        modified: (object) => this.#look(object),
        deleted: () => this.#look(undefined),
      },
      onTrouble: (trouble) => {
        if (this.#trouble === undefined) {
          log.warn({ error: trouble, csiDriver: name }, 'the CSIDriver object cannot be read')
        }
        this.#trouble = trouble
      },
      onRecovered: () => {
        this.#trouble = undefined
      },
    })
    this.#reflector.synced.then(
      () => this.#look(this.#reflector.get(name)),
      () => {},
    )
  }

  /** Why no new volume may be served, for people; undefined where it may, or where the right to find out is missing. */
  obstacle(): string | undefined {
    if (this.#reflector.hasSynced) return this.#obstacle
    const trouble = this.#trouble
    if (trouble?.code === 'KUBERNETES_API' && trouble.status === 403) return undefined
    const why = trouble === undefined ? '' : `: ${trouble.message}`
    return `the CSIDriver object ${this.#name} has not been read yet${why}`
  }

  /** Since when the object has not been watched; undefined while it is, or where the right to do so is missing. */
  outage(): Outage | undefined {
    const { outage } = this.#reflector
    return outage?.error?.code === 'KUBERNETES_API' && outage.error.status === 403 ? undefined : outage
  }

  /** Whether tokens come as CSI secrets, so that the volume context cannot hold any that the kubelet has sent (KEP-5538). */
  tokensInSecrets(): boolean {
    return this.#reflector.get(this.#name)?.spec.serviceAccountTokenInSecrets === true
  }

  /** What must be added to the object for tokens of an audience, for people; undefined where nothing must, as far as known. */
  tokenObstacle(audience: string): string | undefined {
    const object = this.#reflector.get(this.#name)
    const changes = object === undefined ? [] : tokenChanges(object, audience)
    return changes.length === 0 ? undefined : `the CSIDriver object ${this.#name} must have ${changes.join(' and ')}`
  }

  close(): Promise<void> {
    return this.#reflector.close()
  }

  #look(object: CsiDriver | undefined): void {
    const obstacle = csiDriverObstacle(this.#name, object, this.#useTokenRequest)
    if (obstacle !== undefined && obstacle !== this.#obstacle) {
      this.#log.error({ csiDriver: this.#name }, `no new volume is served: ${obstacle}`)
    }
    this.#obstacle = obstacle
  }
}
