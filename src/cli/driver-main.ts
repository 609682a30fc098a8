import './small-buffers.ts'
import { driverCommand } from './driver.ts'
import { saveMemory } from './memory-flags.ts'
import { runProgram } from './program.ts'

/** The node plugin alone: what runs on every node carries nothing else. The launcher calls it. */
export async function run(args: readonly string[]): Promise<void> {
  saveMemory()
  await runProgram([driverCommand()], args)
}
