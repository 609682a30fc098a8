import './small-buffers.ts'
import { driverCommand } from './driver.ts'
import { saveMemory } from './memory-flags.ts'
import { runProgram } from './program.ts'
import { collectWhenQuiet } from './quiet-collection.ts'

/** The node plugin alone: what runs on every node carries nothing else. The launcher calls it. */
export async function run(args: readonly string[]): Promise<void> {
  saveMemory()
  collectWhenQuiet()
  await runProgram([driverCommand()], args)
}
