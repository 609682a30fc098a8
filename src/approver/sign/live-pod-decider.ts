import type { PodCertificateRequest } from '../../kubernetes/certificates.ts'
import type { KubernetesClient } from '../../kubernetes/client.ts'
import { outageProblems } from '../../kubernetes/outage-problems.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { ApproverSettings, Decision } from '../decide.ts'
import type { PolicySet } from '../live/policy-set.ts'
import { takesPodsOf } from '../selection.ts'
import { AdmissionWatch } from './admission-watch.ts'
import { KeyWatch } from './key-watch.ts'
import { decideOnLiveObjects } from './live-decision.ts'
import type { PodDecider } from './signer.ts'
import { UndecidedError } from './undecided-error.ts'

export interface LivePodDeciderOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'list' | 'pages' | 'watch'>
  readonly policies: Pick<PolicySet, 'current' | 'settled' | 'confirm' | 'outage'>
  readonly settings: ApproverSettings
  /** Whose requests are decided. */
  readonly signerNames: readonly string[]
  /** Whether pods' requests are signed although nothing binds their creators to their nodes. */
  readonly trustCreators: boolean
  /** Told when something has come that requests may have waited for. */
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Log
}

/** Decides pods' requests by the cluster's policies, on objects that are read for each, and knows whose keys are. */
export class LivePodDecider implements PodDecider {
  readonly #options: LivePodDeciderOptions
  readonly #keys: KeyWatch
  readonly #admission: AdmissionWatch | undefined

  constructor(options: LivePodDeciderOptions) {
    this.#options = options
    const { client, settings, trustCreators, onChange, clock, log } = options
    this.#keys = new KeyWatch({ client, drivers: settings.drivers, onKnown: onChange, clock, log })
    this.#admission = trustCreators ? undefined : new AdmissionWatch({ client, onChange, clock, log })
  }

  /**
   * @throws {UndecidedError} where it is to be decided again
   * @throws {ApiError | ConnectionError}
   */
  async decide(request: PodCertificateRequest, signal: AbortSignal): Promise<Decision> {
    const { client, policies, settings, clock } = this.#options
    const keys = this.#keys.seenBy(request)
    await policies.settled()
    const snapshot = policies.current
    if (snapshot === undefined) throw new UndecidedError('policies are being read')
    const ground = () => ({ ...snapshot, keys, settings, now: clock.now() })
    const decision = await decideOnLiveObjects(client, request, ground, signal)
    const isConfirmed = await policies.confirm(snapshot, signal)
    if (!isConfirmed) throw new UndecidedError('policies were changed in the meantime')
    return decision
  }

  claim(request: PodCertificateRequest, decision: Decision, until: number): boolean {
    return this.#keys.claim(request, decision, until)
  }

  /** Everything that keeps pods from certificates which a policy would give them, for people. */
  problems(): readonly string[] {
    const { policies, signerNames, clock } = this.#options
    const all = policies.current?.policies ?? []
    const taken = signerNames.filter((name) => all.some(({ spec }) => takesPodsOf(spec, name)))
    const watches = [
      ...this.#keys.watches,
      ...(this.#admission?.watches ?? []),
      { what: 'policies', outage: () => policies.outage },
    ]
    return [...taken.flatMap((name) => this.#admission?.obstacle(name) ?? []), ...outageProblems(watches, clock.now())]
  }

  async close(): Promise<void> {
    await Promise.all([this.#keys.close(), this.#admission?.close()])
  }
}
