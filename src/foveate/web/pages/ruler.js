// Lengths in the eye: millimetres where the spacing of the pixels is known, pixels otherwise.

/** Length of the line from p to q: {value, unit}; spacing: [mm per row, mm per column] or null. */
export function length(p, q, spacing) {
  const [r, c] = [q[0] - p[0], q[1] - p[1]];
  if (!spacing) return { value: Math.hypot(r, c), unit: "px" };
  return { value: Math.hypot(r * spacing[0], c * spacing[1]), unit: "mm" };
}

/** A length in words: "1.53 mm", "412 µm", "38 px". */
export function measured(p, q, spacing) {
  const { value, unit } = length(p, q, spacing);
  if (unit === "px") return `${value < 10 ? value.toFixed(1) : Math.round(value)} px`;
  return value < 1 ? `${Math.round(value * 1000)} µm` : `${value.toFixed(2)} mm`;
}
