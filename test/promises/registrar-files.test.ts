import { describe, expect, test } from 'vitest'
import { spiffeIds } from '../../src/registrar/crd/spiffe-id-resource.ts'
import { parseRegistrarConfig } from '../../src/registrar/config/read-config.ts'
import { configText, reconcileRoot, RegistrarCluster, registrarRoot } from '../support/registrar-cluster.ts'

// What the registrar promises of the files of the one before it (docs/promises.md, registrar 1).

describe('promise 1, the old files of all three modes are read unchanged', () => {
  test.each([
    { hcl: 'mode = "reconcile"', parentId: `${reconcileRoot}/n1`, selectors: ['ns:shop', 'pod-name:web'] },
    { hcl: 'mode = "webhook"', parentId: registrarRoot, selectors: ['ns:shop', 'pod-name:web'] },
    {
      hcl: 'mode = "crd"',
      parentId: `${registrarRoot}/n1`,
      selectors: ['ns:shop', 'node-name:n1', 'pod-uid:uid-of-web'],
    },
  ])('$hcl gives a pod the entry that its mode says', async ({ hcl, parentId, selectors }) => {
    await using cluster = new RegistrarCluster()
    cluster.node('n1')
    cluster.pod('web')
    await cluster.run(hcl)
    const [entry] = cluster.ofPod('web')
    expect(entry).toMatchObject({ spiffeId: 'spiffe://example.org/ns/shop/sa/web', parentId })
    expect(entry?.selectors.map(({ value }) => value).toSorted()).toEqual(selectors.toSorted())
    const made = cluster.api.find(spiffeIds, { namespace: 'shop', name: 'web' })
    expect(made !== undefined).toBe(hcl.includes('crd'))
  })

  test('a wrong key is named, with what was meant', () => {
    let said: string
    try {
      said = parseRegistrarConfig(configText('mode = "reconcile"\npod_lable = "spiffe"')).warnings.join('\n')
    } catch (error) {
      said = (error as Error).message
    }
    expect(said).toContain('pod_lable')
    expect(said).toContain('did you mean')
    expect(said).toContain('pod_label')
  })
})
