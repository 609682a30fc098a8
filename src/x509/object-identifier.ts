/** The largest arc: 39 digits hold 128 bits, the arc that a UUID gives (X.667). Larger ones only cost time. */
const arc = String.raw`(?:0|[1-9]\d{0,38})`

/** Three trees, of which the first two have 40 branches (X.660). */
const dotted = new RegExp(String.raw`^(?:[01]\.(?:\d|[1-3]\d)|2\.${arc})(?:\.${arc}){0,62}$`)

/** Whether a text is an object identifier in dotted decimal, such as `2.5.4.3`, that DER can hold. */
export function isObjectIdentifier(text: string): boolean {
  return dotted.test(text)
}
