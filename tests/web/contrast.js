// Contrast of the letters in a picture (WCAG 2.2, "contrast ratio"): in each place where some are, between the colour that
// most of it has and the one that differs most from it. Of all places of a text the best counts: one may be a space.
async ([picture, scale, letters]) => {
  const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) =>
    [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => sum + weight * linear(((colour >> (16 - 8 * i)) & 255) / 255), 0);
  const contrast = (rect) => {
    const [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map((value) => Math.round(value * scale));
    const { data } = context.getImageData(x, y, Math.max(width, 1), Math.max(height, 1));
    const counts = new Map();
    for (let i = 0; i < data.length; i += 4) {
      const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
    const [ground] = [...counts].reduce((most, each) => (each[1] > most[1] ? each : most));
    const below = luminance(ground);
    const ratios = [...counts.keys()].map(luminance).map((each) => (Math.max(each, below) + 0.05) / (Math.min(each, below) + 0.05));
    return Math.max(...ratios);
  };
  return letters.map(({ words, rects }) => ({ words, ratio: Math.max(...rects.map(contrast)) }));
}
