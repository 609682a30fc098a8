import { buildComponent, type Component } from './build.ts'
import { certManager } from './cert-manager/recipe.ts'
import { csiSanity } from './csi-sanity/recipe.ts'
import { csiSidecars } from './csi-sidecars/recipe.ts'
import { formerRegistrar } from './former-registrar/recipe.ts'
import { kubestack } from './kubestack/recipe.ts'
import { spire } from './spire/recipe.ts'
import { vault } from './vault/recipe.ts'

// Builds every component that is not in the cache, so that no test has to: with empty Go caches some take longer than a test may.

const components: readonly Component[] = [kubestack, certManager, csiSanity, csiSidecars, vault, spire, formerRegistrar]

for (const component of components) {
  const directory = await buildComponent(component, (line) => process.stdout.write(`${line}\n`))
  process.stdout.write(`${component.name} ${component.version}: ${directory}\n`)
}
