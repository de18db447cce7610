// What is wrong with the layout of a page, by rules that hold whatever its letters are. Returns one line a fault.
([least, ground]) => {
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const walk = (root) =>
    [...root.children].flatMap((element) => [element, ...(element.shadowRoot ? walk(element.shadowRoot) : []), ...walk(element)]);
  const modal = walk(document).find((element) => element.matches('dialog:modal'));
  const all = (modal ? walk(modal) : walk(document.body)).filter(visible);
  const up = (element) => element.assignedSlot ?? element.parentElement ?? element.getRootNode().host;
  const above = (element) => {
    const found = [];
    for (let at = up(element); at; at = up(at)) found.push(at);
    return found;
  };
  // Said to assistive technology only, as a square of one pixel; or seen only by whoever has come there by keyboard.
  const isHidden = (element) =>
    [element, ...above(element)].some((each) => (each.offsetWidth === 1 && each.offsetHeight === 1) || each.matches('.skip:not(:focus)'));
  const name = (element) => `${element.localName}.${element.className || ''} "${(element.innerText || element.ariaLabel || '').slice(0, 40)}"`;
  const faults = [];
  const { scrollWidth, clientWidth } = document.scrollingElement;
  if (scrollWidth > clientWidth) faults.push(`scrolls sideways by ${scrollWidth - clientWidth} px`);

  const texts = all
    .filter((element) => !isHidden(element))
    .flatMap((element) => [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).map((node) => ({ element, node })))
    .map(({ element, node }) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      return { element, node, words: node.data.trim().slice(0, 40), rects: [...range.getClientRects()].filter(({ width }) => width > 0) };
    });

  // Words stay in the block that they are of, in the window, and in whatever cuts off what is outside of it.
  for (const { element, words, rects } of texts) {
    const line = [element, ...above(element)];
    const block = line.find((each) => !getComputedStyle(each).display.startsWith('inline') && getComputedStyle(each).display !== 'contents');
    const cutting = line.filter((each) => /hidden|clip/.test(getComputedStyle(each).overflowX));
    const scrolling = line.some((each) => /auto|scroll/.test(getComputedStyle(each).overflowX));
    for (const [box, what] of [[block, 'its block'], ...cutting.map((each) => [each, 'what cuts it off'])]) {
      const { left, right } = box.getBoundingClientRect();
      if (rects.some((rect) => rect.left < left - 1 || rect.right > right + 1)) faults.push(`"${words}" runs out of ${what}, ${name(box)}`);
    }
    for (const each of cutting) {
      const { top, bottom } = each.getBoundingClientRect();
      if (rects.some((rect) => rect.top < top - 1 || rect.bottom > bottom + 1)) faults.push(`"${words}" is cut off by ${name(each)}`);
    }
    if (!scrolling && rects.some((rect) => rect.left < 0 || rect.right > innerWidth + 1)) faults.push(`"${words}" is outside of the window`);
  }

  // A short word is not broken where it has no hyphen; the parts of an address are no words.
  for (const { node, element } of texts) {
    for (const found of node.data.matchAll(/(?<![\p{L}\p{N}.@])\p{L}{2,10}(?![\p{L}\p{N}]|[.@]\p{L})/gu)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const lines = new Set([...range.getClientRects()].map(({ bottom }) => Math.round(bottom)));
      if (lines.size > 1) faults.push(`"${found[0]}" is broken over lines in ${name(element)}`);
    }
  }

  // Nothing lies over anything else, but what stays in the window while the rest moves below it.
  const layer = (element) => [element, ...above(element)].find((each) => /fixed|sticky/.test(getComputedStyle(each).position));
  const meet = (one, other) => {
    const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    return width > 1 && height > 1;
  };
  const controls = all.filter(
    (element) => element.matches('button, input, select, textarea, summary, a[href]') && !isHidden(element) && getComputedStyle(element).display !== 'inline',
  );
  const isWithin = (one, other) => [one, ...above(one)].includes(other);
  controls.forEach((one, i) => {
    const rect = one.getBoundingClientRect();
    for (const other of controls.slice(i + 1)) {
      if (layer(one) !== layer(other) || isWithin(one, other) || isWithin(other, one)) continue;
      if (meet(rect, other.getBoundingClientRect())) faults.push(`${name(one)} lies over ${name(other)}`);
    }
    for (const { element, words, rects } of texts) {
      // Words of a label lie over the control that it is of.
      if (layer(one) !== layer(element) || isWithin(element, one) || element.closest('label')?.contains(one)) continue;
      if (rects.some((each) => meet(rect, each))) faults.push(`"${words}" lies over ${name(one)}`);
    }
    const target = (one.closest('label') ?? one).getBoundingClientRect();
    if (target.width < least || target.height < least) faults.push(`${name(one)} is ${target.width} by ${target.height} px`);
  });
  texts.forEach(({ element, words, rects }, i) => {
    for (const other of texts.slice(i + 1)) {
      if (layer(element) !== layer(other.element)) continue;
      // Lines of one text stand as close as their letters are high.
      const slim = ({ left, right, top, bottom }) => ({ left, right, top: top + (bottom - top) / 4, bottom: bottom - (bottom - top) / 4 });
      if (rects.some((one) => other.rects.some((rect) => meet(slim(one), slim(rect))))) faults.push(`"${words}" lies over "${other.words}"`);
    }
  });

  // Where letters are to be looked at in a picture of the whole window.
  const isOff = (element) => [element, ...above(element)].some((each) => each.disabled || getComputedStyle(each).opacity < 1);
  const inWindow = ({ top, bottom, left, right }) => top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
  const seen = (element, { left, top, width, height }) => {
    let at = document.elementFromPoint(left + width / 2, top + height / 2);
    while (at?.shadowRoot) {
      const inner = at.shadowRoot.elementFromPoint(left + width / 2, top + height / 2);
      if (!inner || inner === at) break;
      at = inner;
    }
    return at && (isWithin(at, element) || isWithin(element, at));
  };
  const letters = ground
    ? texts
        .filter(({ element }) => !isOff(element))
        .map(({ element, words, rects }) => ({ words, rects: rects.filter((rect) => inWindow(rect) && seen(element, rect)).map((rect) => rect.toJSON()) }))
        .filter(({ rects }) => rects.length > 0)
    : [];
  return { faults, letters, elements: [...new Set(walk(document).map(({ localName }) => localName))].filter((each) => each.includes('-')) };
}
