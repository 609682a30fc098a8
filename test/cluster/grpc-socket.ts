import { type Server, ServerCredentials } from '@grpc/grpc-js'

/** Serves on a unix socket. @param path - absolute, at most 107 bytes (unix(7)) */
export function listenUnix(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}
