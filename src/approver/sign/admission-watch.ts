import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { Watched } from '../../kubernetes/outage-problems.ts'
import { Reflector } from '../../kubernetes/reflector.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import {
  admissionBindings,
  type AdmissionBinding,
  admissionName,
  admissionObstacle,
  admissionPolicies,
  type AdmissionPolicy,
} from './creator-admission.ts'

export interface AdmissionWatchOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  /** Told when policy or binding may be another. */
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
}

/** The rule that binds the creators of pods' requests to their nodes, as it was last seen: for people who ask why nothing is signed. */
export class AdmissionWatch {
  readonly watches: readonly Watched[]
  readonly #policies: Reflector<AdmissionPolicy, AdmissionPolicy>
  readonly #bindings: Reflector<AdmissionBinding, AdmissionBinding>

  constructor({ client, onChange, clock, log }: AdmissionWatchOptions) {
    const common = {
      client,
      fieldSelector: `metadata.name=${admissionName}`,
      handler: { added: onChange, modified: onChange, deleted: onChange },
      clock,
      log,
    }
    this.#policies = new Reflector<AdmissionPolicy, AdmissionPolicy>({
      ...common,
      resource: admissionPolicies,
      transform: (policy) => policy,
    })
    this.#bindings = new Reflector<AdmissionBinding, AdmissionBinding>({
      ...common,
      resource: admissionBindings,
      transform: (binding) => binding,
    })
    this.watches = [
      { what: 'admission policies', outage: () => this.#policies.outage },
      { what: 'bindings of admission policies', outage: () => this.#bindings.outage },
    ]
  }

  /** As {@link admissionObstacle}; undefined as well before policy and binding were asked for once. */
  obstacle(signerName: string): string | undefined {
    if (!this.#policies.hasSynced || !this.#bindings.hasSynced) return undefined
    return admissionObstacle(signerName, this.#policies.get(admissionName), this.#bindings.get(admissionName))
  }

  async close(): Promise<void> {
    await Promise.all([this.#policies.close(), this.#bindings.close()])
  }
}
