/** Makes elements. Text is always text: nothing here reads markup. */

/** What stands in an element; nothing for what is false or empty. */
export type Child = Node | string | false | undefined;

/** Return an element with these properties (those that it has) or attributes (all others), and children. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Record<string, unknown> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) Object.assign(element, { [name]: value });
    else element.setAttribute(name, String(value));
  }
  element.append(...present(children));
  return element;
}

/** Return those that are something. */
export function present(children: readonly Child[]): (Node | string)[] {
  return children.filter((child): child is Node | string => !!child);
}

/** Have an element say this; what is the same is not said twice. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a button that does something. */
export function button(text: string, onclick: () => void, className = ''): HTMLButtonElement {
  return h('button', { type: 'button', className, onclick }, text);
}

/** Return a link that leaves the page, and the call, as they are. */
export function link(text: string, href: string, className = ''): HTMLAnchorElement {
  return h('a', { href, className, target: '_blank', rel: 'noopener' }, text);
}
