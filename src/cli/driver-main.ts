import './small-buffers.ts'
import { driverCommand } from './driver.ts'
import { runProgram } from './program.ts'

// The node plugin alone: what runs on every node carries nothing else.
void runProgram([driverCommand()], process.argv.slice(2))
