import { connect, createServer } from 'node:net'

// usage: node forward.ts ADDRESS PORT SOCKET
// Forwards connections to a TCP port to a Unix socket, which leads out of this network namespace.
const [address, port, socket] = process.argv.slice(2)
if (socket === undefined) throw new TypeError('expected an address, a port and a socket')
const server = createServer((client) => {
  const beyond = connect(socket)
  client.on('error', () => beyond.destroy()).pipe(beyond)
  beyond.on('error', () => client.destroy()).pipe(client)
})
server.listen(Number(port), address)
