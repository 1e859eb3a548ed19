// Icons of the tools, drawn as lines in a square of 20.

import { s } from "./dom.js";

const LINES = {
  select: "M5 3 L5 16 L8.5 12.5 L11 17.5 L13 16.5 L10.6 11.7 L15.5 11.5 Z",
  hand: "M10 2 L10 18 M2 10 L18 10 M10 2 L7.5 4.5 M10 2 L12.5 4.5 M10 18 L7.5 15.5 M10 18 L12.5 15.5 M2 10 L4.5 7.5 M2 10 L4.5 12.5 M18 10 L15.5 7.5 M18 10 L15.5 12.5",
  ellipse: "M17.5 8 A8 5 -20 1 1 2.5 12 A8 5 -20 1 1 17.5 8 Z",
  polygon: "M4 7 L11 3 L17 9 L14 16 L6 15 Z",
  brush: "M17 3 L9 11 M9 11 C6 10.5 5 13 4.5 16.5 C8 16.5 10.5 15 10.5 12.5 Z",
  eraser: "M8 16.5 L3.5 12 L11.5 4 L17 9.5 L10 16.5 Z M7.5 8 L13 13.5 M8 16.5 L17 16.5",
  point: "M10 7.5 A2.5 2.5 0 1 1 9.99 7.5 M10 2 L10 5 M10 15 L10 18 M2 10 L5 10 M15 10 L18 10",
  regions: "M10 3 A7 7 0 1 1 9.99 3 M10 3 L10 17 M3 10 L17 10",
  landmarks: "M6.5 6.5 A3.5 3.5 0 1 1 6.49 6.5 M14.5 8.5 A1.5 1.5 0 1 1 14.49 8.5 M10 10 L13 10",
  ruler: "M3 13 L13 3 L17 7 L7 17 Z M6 10 L8 12 M9 7 L11 9 M12 4.5 L13.5 6",
  comment: "M3 4 L17 4 L17 13 L10 13 L6 17 L6 13 L3 13 Z",
  undo: "M7 4 L3 8 L7 12 M3 8 L12 8 A4.5 4.5 0 0 1 12 17 L8 17",
  redo: "M13 4 L17 8 L13 12 M17 8 L8 8 A4.5 4.5 0 0 0 8 17 L12 17",
  fit: "M3 7 L3 3 L7 3 M13 3 L17 3 L17 7 M17 13 L17 17 L13 17 M7 17 L3 17 L3 13",
  comparison: "M3 4 L9 4 L9 16 L3 16 Z M11 4 L17 4 L17 16 L11 16 Z",
  panel: "M3 4 L17 4 L17 16 L3 16 Z M12 4 L12 16",
  help: "M7 7.5 A3 3 0 1 1 10.5 10.4 C10 10.7 10 11.5 10 12.3 M10 15 L10 15.6",
};

export const icon = (name) => s("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" }, s("path", { d: LINES[name] }));
