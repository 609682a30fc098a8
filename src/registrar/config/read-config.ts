import { readFile } from 'node:fs/promises'
import { HclError } from '../hcl/hcl-error.ts'
import type { HclObject } from '../hcl/node.ts'
import { parseHcl } from '../hcl/parse-hcl.ts'
import { checkKeys } from './check-keys.ts'
import { RegistrarConfigError } from './config-error.ts'
import { fieldsOf } from './fields.ts'
import { noFindings, placed, problemsOf } from './findings.ts'
import { commonKeys } from './keys.ts'
import { readCommon } from './read-common.ts'
import { readMode } from './read-modes.ts'
import type { RegistrarConfig } from './registrar-config.ts'

/** A configuration, and what is odd about its file. */
export interface ConfigReading {
  readonly config: RegistrarConfig
  /** A sentence each, with its place; for the log. None holds a value that could be a secret: there are none in these files. */
  readonly warnings: readonly string[]
}

/** Files of a few lines are read; one of this size is something else. */
const largestFile = 1 << 20

/**
 * Reads the file of `--config`.
 *
 * @throws {RegistrarConfigError} with everything that is wrong
 */
export async function readRegistrarConfig(path: string): Promise<ConfigReading> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (error) {
    throw new RegistrarConfigError([`unable to load configuration: ${(error as Error).message}`], { cause: error })
  }
  if (bytes.length > largestFile) {
    throw new RegistrarConfigError([`unable to load configuration: ${path} is larger than ${largestFile} bytes`])
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new RegistrarConfigError([`${decodeFailed}the file is not UTF-8`], { cause: error })
  }
  return parseRegistrarConfig(text)
}

const decodeFailed = 'error parsing common config: unable to decode configuration: '

/**
 * Reads a configuration in HCL 1 or JSON, as SPIRE's k8s-workload-registrar 1.3 and 1.5 read it.
 *
 * @throws {RegistrarConfigError} with everything that is wrong, what the old registrar would have said first at the top
 */
export function parseRegistrarConfig(text: string): ConfigReading {
  const root = parseOrThrow(text)
  const findings = noFindings()
  const fields = fieldsOf(root, (key, at, problem) => {
    // Some keys are read twice; one mistake is said once.
    const said = findings.wrongKeys.has(key)
    findings.wrongKeys.add(key)
    if (!said) (commonKeys.includes(key) ? findings.commonTypes : findings.modeTypes).push(placed(at, problem))
  })
  const common = readCommon(fields, findings)
  checkKeys(root, common.mode, findings)
  const config = common.mode && readMode(common.mode, fields, common, findings)
  const problems = problemsOf(findings)
  if (config === undefined || problems.length > 0) throw new RegistrarConfigError(problems)
  return { config, warnings: [...findings.warnings, ...freedoms(config)] }
}

function parseOrThrow(text: string): HclObject {
  try {
    return parseHcl(text)
  } catch (error) {
    if (!(error instanceof HclError)) throw error
    throw new RegistrarConfigError([decodeFailed + error.message], { cause: error })
  }
}

/** Who may take which identity because the file does not limit it. */
function freedoms({ mode, identity, allowedIds }: RegistrarConfig): readonly string[] {
  if (allowedIds !== undefined) return []
  const taken =
    'may take any SPIFFE ID of the trust domain but those of SPIRE and the registrar: allowed_ids limits them'
  const warnings: string[] = []
  if (identity.by === 'label') warnings.push(`whoever may set the label ${identity.key} of a pod ${taken}`)
  if (identity.by === 'annotation') warnings.push(`whoever may set the annotation ${identity.key} of a pod ${taken}`)
  if (mode === 'crd') warnings.push(`whoever may create SpiffeIDs ${taken}`)
  return warnings
}
