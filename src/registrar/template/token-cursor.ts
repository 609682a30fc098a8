import { TemplateError } from './template-error.ts'
import type { Token, TokenKind } from './tokens.ts'

/** Reads tokens one after the other, with as many put back as a reader needs. */
export interface TokenCursor {
  /** The next, a space too. */
  take(): Token
  /** Makes these the next ones. */
  putBack(...tokens: readonly Token[]): void
  /** The next that is no space. */
  next(): Token
  /** The same, without taking it; the spaces are gone. */
  peek(): Token
  takeSpaces(): readonly Token[]
}

export function tokenCursor(tokens: Iterator<Token, void, void>): TokenCursor {
  const waiting: Token[] = []
  let last: Token | undefined
  const cursor: TokenCursor = {
    take: () => {
      last = waiting.shift() ?? tokens.next().value ?? last
      return last ?? { kind: 'end of text', text: '', line: 1 }
    },
    putBack: (...tokens) => void waiting.unshift(...tokens),
    takeSpaces: () => {
      const spaces: Token[] = []
      let token = cursor.take()
      for (; token.kind === 'space'; token = cursor.take()) spaces.push(token)
      cursor.putBack(token)
      return spaces
    },
    next: () => {
      cursor.takeSpaces()
      return cursor.take()
    },
    peek: () => {
      const token = cursor.next()
      cursor.putBack(token)
      return token
    },
  }
  return cursor
}

/** @throws {TemplateError} where the next token that is no space is of another kind */
export function expectToken(cursor: TokenCursor, kind: TokenKind, context: string): void {
  const token = cursor.next()
  if (token.kind !== kind) throw unexpected(token, context)
}

export function unexpected(token: Token, context: string): TemplateError {
  const what = token.kind === 'end of text' ? 'end of text' : JSON.stringify(token.text)
  return new TemplateError(token.line, `unexpected ${what} in ${context}`)
}
