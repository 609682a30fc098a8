import { DatabaseSync } from 'node:sqlite'

/** When the server wrote an entry, in epoch milliseconds with a fraction. */
export interface WrittenEntry {
  /** What stands in its selector `k8s:pod-name`; empty where there is none. */
  readonly pod: string
  /** Its row was begun. */
  readonly began: number
  /** The last row of its transaction was written: the commit follows, with nothing between. */
  readonly written: number
}

/**
 * Looks at a SPIRE server's database while the server runs. The server itself notes in each row when it wrote it, and the event for its
 * agents is the last row of an entry's transaction (sqlstore createRegistrationEntryEvent). So what is measured is disturbed by nothing:
 * nobody polls the server, and the rows are read afterwards.
 *
 * @param database - its SQLite file, in WAL mode: a reader does not stop the writer
 */
export function countEntries(database: string): number {
  return reading(database, (open) =>
    Number(open.prepare('SELECT count(*) AS count FROM registered_entries').get()?.['count']),
  )
}

/** The last entry there is, for {@link entriesSince}. */
export function lastEntry(database: string): number {
  return reading(database, (open) =>
    Number(open.prepare('SELECT max(id) AS last FROM registered_entries').get()?.['last'] ?? 0),
  )
}

/** The entries that were created after another one and are still there, in the order in which they were. */
export function entriesSince(database: string, last: number): readonly WrittenEntry[] {
  const statement = `
    SELECT entry.created_at AS began, event.created_at AS written, selector.value AS selector
    FROM registered_entries AS entry
    JOIN (SELECT entry_id, min(id) AS id FROM registered_entries_events GROUP BY entry_id) AS first ON first.entry_id = entry.entry_id
    JOIN registered_entries_events AS event ON event.id = first.id
    LEFT JOIN selectors AS selector ON selector.registered_entry_id = entry.id AND selector.value LIKE 'pod-name:%'
    WHERE entry.id > ? ORDER BY entry.id`
  return reading(database, (open) =>
    open
      .prepare(statement)
      .all(last)
      .map(({ began, written, selector }) => ({
        pod: String(selector ?? '').slice('pod-name:'.length),
        began: timeOf(began),
        written: timeOf(written),
      })),
  )
}

/**
 * Puts entries of others into the database of a server that does not run: copies of its first entry, each with a SPIFFE ID, a parent
 * and two selectors of its own, as another cluster's registrar would have made them. Through the API, 50,000 would take minutes.
 */
export function insertForeignEntries(database: string, count: number): void {
  using open = new DatabaseSync(database)
  const columns = (table: string): readonly string[] =>
    open
      .prepare('SELECT name FROM pragma_table_info(?)')
      .all(table)
      .map(({ name }) => String(name))
  const copy = (table: string, values: Readonly<Record<string, string>>, from: string): void => {
    const names = columns(table).filter((name) => name !== 'id')
    const chosen = names.map((name) => values[name] ?? `one.${name}`)
    open.exec(`INSERT INTO ${table} (${names.join(', ')}) SELECT ${chosen.join(', ')} FROM ${from}`)
  }
  open.exec('BEGIN')
  open.exec('CREATE TEMP TABLE numbers (number INTEGER)')
  open
    .prepare(
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO numbers SELECT i FROM n',
    )
    .run(count)
  copy(
    'registered_entries',
    {
      entry_id: "'foreign-' || number",
      spiffe_id: "'spiffe://example.org/other/ns/team-' || (number % 400) || '/sa/default'",
      parent_id: "'spiffe://example.org/other/node/node-' || (number % 500)",
      admin: '0',
      downstream: '0',
    },
    'numbers, (SELECT * FROM registered_entries ORDER BY id LIMIT 1) AS one',
  )
  for (const value of [
    "'ns:team-' || (substr(entry.entry_id, 9) % 400)",
    "'pod-name:other-' || substr(entry.entry_id, 9)",
  ]) {
    copy(
      'selectors',
      { registered_entry_id: 'entry.id', type: "'k8s'", value },
      "registered_entries AS entry, (SELECT * FROM selectors ORDER BY id LIMIT 1) AS one WHERE entry.entry_id LIKE 'foreign-%'",
    )
  }
  open.exec('COMMIT')
}

function reading<Result>(database: string, read: (open: DatabaseSync) => Result): Result {
  using open = new DatabaseSync(database, { readOnly: true })
  return read(open)
}

/** SQLite has `2026-11-22 12:14:29.516142433+00:00`; Date knows three digits of a second. */
function timeOf(value: unknown): number {
  const [, date = '', time = '', fraction = '0'] = /^(\S+) (\d\d:\d\d:\d\d)\.?(\d*)\+00:00$/.exec(String(value)) ?? []
  return Date.parse(`${date}T${time}Z`) + Number(`0.${fraction}`) * 1000
}
