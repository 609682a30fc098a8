import { parseDistinguishedName, DistinguishedNameError } from '../x509/distinguished-name.ts'
import { buildSubject, encodeName, NameError, type Subject } from '../x509/name.ts'
import { type AttributeName, type AttributeReader, attributePrefix, subjectParts } from './attributes.ts'
import { CsvError, parseCsvList } from './csv-list.ts'
import { type ExpandedAttribute, expandItems, expandText, type Variables } from './variables.ts'

/**
 * Reads a volume's subject. `literal-subject` stands for all of it; what else is given then is ignored, as the Go driver does, but
 * with a warning.
 *
 * @returns a subject that can be written, unless the reader has problems
 */
export function readSubject(reader: AttributeReader, variables: Variables): Subject {
  const literal = reader.text('literal-subject')
  if (literal === undefined) return readParts(reader, variables)
  const ignored = subjectParts.filter((name) => reader.text(name) !== undefined)
  if (ignored.length > 0) {
    const names = ignored.map((name) => attributePrefix + name).join(', ')
    reader.warning('literal-subject', `is the whole subject, so these are ignored: ${names}`)
  }
  return readLiteral(reader, literal, variables)
}

/** Variables are replaced in the values that were read, so none of theirs can add an attribute or reshape the name. */
function readLiteral(reader: AttributeReader, text: string, variables: Variables): Subject {
  try {
    const subject = parseDistinguishedName(text).map((level) =>
      level.map(({ type, value }) => ({
        type,
        value: expandText(reader, 'literal-subject', value, variables) ?? value,
      })),
    )
    return writable(reader, 'literal-subject', subject)
  } catch (error) {
    if (!(error instanceof DistinguishedNameError)) throw error
    reader.problem('literal-subject', `is no distinguished name such as CN=web,O=Example: ${error.message}`)
    return []
  }
}

function readParts(reader: AttributeReader, variables: Variables): Subject {
  const several = (name: ExpandedAttribute): readonly string[] => {
    const values = readCsv(reader, name)
    const expanded = expandItems(reader, name, values, variables).filter((value) => value !== '')
    writable(reader, name, buildSubject({ organizations: expanded }))
    return expanded
  }
  const commonName = expandText(reader, 'common-name', reader.text('common-name') ?? '', variables)
  writable(reader, 'common-name', buildSubject({ commonName }))
  const serialNumber = reader.text('serialnumber')
  writable(reader, 'serialnumber', buildSubject({ serialNumber }))
  return buildSubject({
    countries: several('countries'),
    organizations: several('organizations'),
    organizationalUnits: several('organizationalunits'),
    localities: several('localities'),
    provinces: several('provinces'),
    streetAddresses: several('streetaddresses'),
    postalCodes: several('postalcodes'),
    commonName,
    serialNumber,
  })
}

/** A list in which quotes keep commas (RFC 4180); empty values are dropped. */
export function readCsv(reader: AttributeReader, name: AttributeName): readonly string[] {
  const text = reader.text(name)
  if (text === undefined) return []
  try {
    return parseCsvList(text).filter((value) => value !== '')
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    const form = 'must be values with commas between them, with quotes around those that have commas'
    reader.problem(name, `invalid value ${JSON.stringify(text)}: ${form}: ${error.message}`)
    return []
  }
}

/** Encodes a name for the sake of its problems: here they cost nothing, behind a key and a request they would. */
function writable(reader: AttributeReader, name: AttributeName, subject: Subject): Subject {
  try {
    if (subject.length > 0) encodeName(subject)
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    reader.problem(name, `cannot be written: ${error.message}`)
  }
  return subject
}
