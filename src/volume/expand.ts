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
  const unknown: string[] = []
  const replaced = text.replaceAll(
    /\$(?:\{([^}]*)\}|([*#$@!?\-0-9])|(\w+)|(\{))/g,
    (_match, braced: string | undefined, special: string | undefined, plain: string | undefined) => {
      const name = braced ?? special ?? plain ?? ''
      if (name === '') return ''
      if (Object.hasOwn(variables, name)) return variables[name] ?? ''
      if (!unknown.includes(name)) unknown.push(name)
      return ''
    },
  )
  return { text: replaced, unknown }
}
