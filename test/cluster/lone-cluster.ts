// A program that starts a cluster of its own with one pod, says where it is in one line of JSON, and ends it when its standard
// input ends. harness.test.ts ends it in other ways, too.
import { Cluster } from './cluster.ts'
import { createNamespace } from './namespace.ts'
import { execInPod, runPod } from './pod.ts'

const cluster = await Cluster.start(console.error)
const { controlPlane } = cluster.access
await createNamespace(controlPlane, 'sandbox')
const pod = await runPod(cluster.access, { namespace: 'sandbox', name: 'lone' })
const hostLink = Number(await execInPod(controlPlane, pod, 'cat', '/sys/class/net/eth0/iflink'))
console.log(JSON.stringify({ ...cluster.access, hostLink }))

process.stdin.resume()
process.stdin.on('end', () => void cluster.close())
