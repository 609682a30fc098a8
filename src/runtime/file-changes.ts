import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock, Timer } from './clock.ts'

/** Looks for changes of files. */
export interface FileChanges {
  close(): void
}

/** How long the folder must be quiet before a change is told, in milliseconds: an editor writes a file in several steps. */
const settling = 100

/**
 * Tells when something happens in the folders of some files. Files that are replaced are seen as well, and so are those of a ConfigMap,
 * which the kubelet changes by a rename of the link `..data` beside them.
 *
 * @param onChange - told after a change, and not again before the next; whether the files differ is for the caller to see
 * @param onTrouble - told when a folder cannot be watched, or no longer
 */
export function watchFiles(
  files: readonly string[],
  clock: Clock,
  onChange: () => void,
  onTrouble: (error: Error) => void,
): FileChanges {
  const watchers: FSWatcher[] = []
  let timer: Timer | undefined
  const settle = (): void => {
    timer?.cancel()
    timer = clock.timer(settling, onChange)
  }
  for (const folder of new Set(files.map((file) => dirname(file)))) {
    try {
      watchers.push(watch(folder, { persistent: false }, settle).on('error', onTrouble))
    } catch (error) {
      onTrouble(error as Error)
    }
  }
  return {
    close() {
      timer?.cancel()
      for (const watcher of watchers) watcher.close()
    },
  }
}
