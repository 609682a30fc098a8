import { mkdtemp, rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { countEntries, entriesSince, insertForeignEntries, lastEntry } from './entry-table.ts'

let directory: string
let database: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'entry-table-'))
  database = join(directory, 'entries.sqlite3')
  using open = new DatabaseSync(database)
  // The columns that matter of those that a server makes.
  open.exec(`
    CREATE TABLE registered_entries (id INTEGER PRIMARY KEY AUTOINCREMENT, created_at, entry_id UNIQUE, spiffe_id, parent_id, hint);
    CREATE TABLE registered_entries_events (id INTEGER PRIMARY KEY AUTOINCREMENT, created_at, entry_id);
    CREATE TABLE selectors (id INTEGER PRIMARY KEY AUTOINCREMENT, registered_entry_id, type, value)`)
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

function write(id: string, pod: string, began: string, written: string): void {
  using open = new DatabaseSync(database)
  const { lastInsertRowid } = open
    .prepare('INSERT INTO registered_entries (created_at, entry_id, spiffe_id, parent_id, hint) VALUES (?, ?, ?, ?, ?)')
    .run(began, id, 'spiffe://example.org/a', 'spiffe://example.org/b', 'kept')
  open.prepare('INSERT INTO registered_entries_events (created_at, entry_id) VALUES (?, ?)').run(written, id)
  const selector = open.prepare('INSERT INTO selectors (registered_entry_id, type, value) VALUES (?, ?, ?)')
  for (const value of ['ns:shop', `pod-name:${pod}`]) selector.run(lastInsertRowid, 'k8s', value)
}

test('an entry tells its pod, and to the microsecond when the server wrote it, whatever came of it since', () => {
  write('one', 'web-0', '2026-11-22 12:14:29.516142433+00:00', '2026-11-22 12:14:29.516835+00:00')
  const last = lastEntry(database)
  write('two', 'web-1', '2026-11-22 12:14:30+00:00', '2026-11-22 12:14:30.25+00:00')
  using open = new DatabaseSync(database)
  open.exec("INSERT INTO registered_entries_events (created_at, entry_id) VALUES ('2026-11-22 13:00:00+00:00', 'two')")
  const at = Date.parse('2026-11-22T12:14:30Z')
  expect(entriesSince(database, last)).toEqual([{ pod: 'web-1', began: at, written: at + 250 }])
  expect(entriesSince(database, 0)[0]?.began).toBeCloseTo(at - 1000 + 516.142, 2)
})

test("entries of others are copies of the server's first one, with ids, parents and selectors of their own", () => {
  write('one', 'web-0', '2026-11-22 12:14:29+00:00', '2026-11-22 12:14:29+00:00')
  insertForeignEntries(database, 1000)
  expect(countEntries(database)).toBe(1001)
  using open = new DatabaseSync(database)
  const distinct = open
    .prepare(
      "SELECT count(DISTINCT value) AS pods, count(*) AS selectors FROM selectors WHERE registered_entry_id > 1 AND value LIKE 'pod-name:other-%'",
    )
    .get()
  expect(distinct).toEqual({ pods: 1000, selectors: 1000 })
  expect(
    open.prepare('SELECT count(DISTINCT parent_id) AS parents, min(hint) AS hint FROM registered_entries').get(),
  ).toEqual({
    parents: 501,
    hint: 'kept',
  })
})
