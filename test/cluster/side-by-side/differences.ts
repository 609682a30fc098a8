import type { Difference } from './case.ts'

function difference(under: string, row: string): Difference {
  return { under, row }
}

/** Every difference that the cases show: the rows of docs/registrar-compatibility.md. */
export const differences = {
  slashes: difference('Identities', "a label's or annotation's value with `/` is an error for ever in reconcile mode"),
  reserved: difference('Identities', 'any ID can be asked for'),
  staticPods: difference('Identities', 'static pods get IDs from labels and annotations'),
  completed: difference('Identities', 'pods that have completed keep their entry'),
  termination: difference(
    'Identities',
    'an identity ends when deletion begins (reconcile), or once the pod is gone (crd)',
  ),
  nodeTermination: difference('Identities', "a node's alias ends when the node's deletion begins (reconcile)"),
  disabledLater: difference('Identities', 'pods of a namespace that is disabled later keep their entries'),
  federation: difference(
    'Identities',
    '`spiffe.io/federatesWith` is split at commas and sent as it is; one unknown trust domain takes the whole identity',
  ),
  federationChanges: difference('Identities', 'changes of the federation annotation do nothing'),
  lostMark: difference('SpiffeIDs', "of a pod's SpiffeID only the ID follows the pod"),
  refusedNames: difference(
    'DNS names',
    'a name that the server refuses, such as `--1.shop.pod` or a label of more than 63 characters, takes the whole identity',
  ),
  looseEndpoints: difference('DNS names', 'Endpoints that belong to no service make names'),
  readiness: difference(
    'DNS names',
    'crd: `<service>.<namespace>.svc` is added once an address is ready, and stays when the pod leaves the service',
  ),
  spiffeIdRules: difference('SpiffeIDs', 'rules are in the webhook, which is off by default'),
  parents: difference('SpiffeIDs', 'any parent'),
  downstream: difference('SpiffeIDs', '`downstream` for everybody'),
  spiffeIdFederation: difference('SpiffeIDs', 'changes of `federatesWith` alone do nothing'),
}
