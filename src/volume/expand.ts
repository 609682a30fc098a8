/** The outcome of an expansion: the text, and the names that no variable has. */
export interface Expansion {
  readonly text: string
  readonly unknown: readonly string[]
}

/**
 * Replaces `$NAME` and `${NAME}` as Go's `os.Expand` does, once and without a way to escape.
 *
 * What Go does is kept to the letter: a name is the longest run of letters, digits and `_`, or one character of `*#$@!?-0…9`;
 * `${` reads up to the first `}`; `${}` and an unterminated `${` vanish; a `$` before anything else stays.
 *
 * @param text - the template
 * @param variables - the values by name
 */
export function expand(text: string, variables: Readonly<Record<string, string>>): Expansion {
  const unknown = new Set<string>()
  const replace = (_match: string, special?: string, plain?: string, braced?: string): string => {
    const name = special ?? plain ?? braced ?? ''
    if (name === '') return ''
    if (Object.hasOwn(variables, name)) return variables[name] ?? ''
    unknown.add(name)
    return ''
  }
  // Behind the last `}` no `${` is looked for an end, else each of many would search the whole rest in vain.
  const end = text.lastIndexOf('}') + 1
  const closed = text.slice(0, end).replaceAll(/\$(?:([*#$@!?\-0-9])|(\w+)|\{([^}]*)\})/g, replace)
  const open = text
    .slice(end)
    .replaceAll(/\$(?:([*#$@!?\-0-9])|(\w+)|\{)/g, (match, special?: string, plain?: string) =>
      replace(match, special, plain),
    )
  return { text: closed + open, unknown: [...unknown] }
}
