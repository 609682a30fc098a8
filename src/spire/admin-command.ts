/**
 * The command that makes a registration entry with the rights of an administrator. What is not known is written in capitals.
 *
 * @param spiffeId - the caller's own, where it has one
 */
export function adminEntryCommand(trustDomain: string, spiffeId: string | undefined): string {
  return [
    'spire-server entry create -admin',
    `-spiffeID ${spiffeId ?? `spiffe://${trustDomain}/k8s-workload-registrar`}`,
    `-parentID AGENT_ID`,
    '-selector k8s:ns:NAMESPACE',
    '-selector k8s:sa:SERVICE_ACCOUNT',
  ].join(' ')
}

/** What the words in capitals of {@link adminEntryCommand} stand for, as a sentence. */
export const adminEntryHint =
  "AGENT_ID is the ID of the agent on the registrar's node, or of an alias of it (spire-server agent list); the selectors are those of the registrar's own pod."
