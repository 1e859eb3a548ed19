// The protocol next to the image: findings with their layers, questions, ungradable, comments. Each part is built once
// and updated when the marks or the choice change, so that the focus stays where it is.

import { h, put, words } from "../../web/pages/dom.js";
import { NAMES } from "./regions.js";

const kbd = (key) => (key ? h("kbd", {}, key.toUpperCase()) : null);

/** Call update now and after every change in the editor. */
function live(editor, update) {
  editor.addEventListener("change", update);
  editor.addEventListener("chosen", update);
  update();
}

/** Findings: the chosen one, its state, whether its marks are shown and how strongly. */
export function findings(editor) {
  const { protocol } = editor;
  const rows = protocol.findings.map((finding) => row(editor, finding));
  if (!rows.length) return null;
  const all = h("button", { type: "button", class: "quiet", on: { click: () => editor.turn("markings", !editor.markings) } });
  live(editor, () => {
    all.textContent = editor.markings ? "Hide all marks" : "Show all marks";
    all.setAttribute("aria-pressed", String(!editor.markings));
  });
  return h("section", { class: "findings" }, h("header", {}, h("h2", {}, "Findings"), all),
    h("div", { class: "list", role: "group", "aria-label": "Findings" }, rows), regionList(editor));
}

function row(editor, finding) {
  const { name, title, colour, key } = finding;
  const count = h("span", { class: "count" });
  const choose = h("button", { type: "button", class: "finding", on: { click: () => editor.pick(name) } },
    h("span", { class: "swatch", style: { background: colour } }), h("span", { class: "title" }, title), finding.required && h("span", { class: "required" }, "required"), count, kbd(key));
  const eye = h("button", { type: "button", class: "eye", title: "Show or hide these marks",
    on: { click: () => editor.layer(name, { seen: !editor.layers.get(name).seen }) } });
  const strength = h("input", { type: "range", min: 0.05, max: 1, step: 0.05, "aria-label": `Opacity of ${title}`,
    on: { input: () => editor.layer(name, { opacity: Number(strength.value) }) } });
  const states = ["present", "absent", "unsure"].map((state) => h("button", {
    type: "button", "data-state": state, on: { click: () => editor.setState(name, editor.marks.state.findings[name] === state ? null : state) },
  }, state));
  const more = h("div", { class: "more" },
    h("div", { class: "states", role: "group", "aria-label": `${title} is` }, states),
    h("label", { class: "slide" }, h("span", {}, "Opacity"), strength));
  const element = h("div", { class: "finding-row", "data-finding": name }, h("div", { class: "line" }, choose, eye), more);
  live(editor, () => {
    const chosen = editor.finding === name;
    const state = editor.marks.state.findings[name];
    const marked = editor.marks.count(name);
    element.classList.toggle("chosen", chosen);
    choose.setAttribute("aria-pressed", String(chosen));
    count.textContent = [marked || "", state ?? ""].filter(Boolean).join(" · ");
    for (const button of states) {
      button.disabled = !editor.mayDraw || (button.dataset.state === "absent" && marked > 0);
      button.setAttribute("aria-pressed", String(state === button.dataset.state));
    }
    const { seen, opacity } = editor.layers.get(name);
    eye.setAttribute("aria-pressed", String(seen));
    eye.setAttribute("aria-label", `${title}: marks ${seen ? "shown" : "hidden"}`);
    eye.classList.toggle("off", !seen);
    strength.value = opacity;
  });
  return element;
}

/** The eight regions of the chosen finding as checkboxes, as an alternative to clicks on the image. */
function regionList(editor) {
  const boxes = NAMES.map((name, k) => {
    const input = h("input", { type: "checkbox", on: { change: () => editor.places.toggle(name) } });
    return { name, input, label: h("label", { class: "tick" }, input, h("span", {}, name), h("kbd", {}, `⇧${k + 1}`)) };
  });
  const element = h("fieldset", { class: "regions" }, h("legend", {}, "Regions"), boxes.map((box) => box.label));
  const note = h("p", { class: "note" }, "The position of the disc is not known. Choose the tool “Disc and fovea” (D) and click its centre.");
  const whole = h("div", {}, note, element);
  live(editor, () => {
    const finding = editor.protocol.findings.find((one) => one.name === editor.finding);
    const takes = finding?.marks.includes("regions") ?? false;
    whole.hidden = !takes;
    note.hidden = editor.places.landmarks.disc !== null;
    const mine = editor.marks.state.shapes.filter((one) => one.kind === "regions" && one.label === editor.finding && Boolean(one.doubtful) === editor.doubtful);
    for (const { name, input } of boxes) {
      input.checked = mine.some((one) => one.regions.includes(name));
      input.disabled = !editor.mayDraw;
    }
  });
  return whole;
}

/** One question: its answers as radio buttons; below them a model's draft or the annotators' answers, if given. */
export function question(editor, asked, below = null) {
  const { name, title, answers, titles, key, required } = asked;
  const inputs = answers.map((answer, k) => {
    const input = h("input", { type: "radio", name: `q-${name}`, value: answer, on: { change: () => answered(editor, name, answer) } });
    const text = titles?.[k] && titles[k] !== answer ? titles[k] : null;
    return { answer, input, label: h("label", { class: "answer" }, input, h("span", { class: "value" }, answer), text && h("span", {}, text)) };
  });
  const clear = h("button", { type: "button", class: "quiet", on: { click: () => answered(editor, name, null) } }, "Clear");
  const element = h("fieldset", { class: "question", "data-question": name },
    h("legend", {}, title ?? words(name), h("span", { class: required ? "required" : "optional" }, required ? " required" : " optional"), kbd(key)), inputs.map((one) => one.label), clear, below);
  element.addEventListener("keydown", (event) => {
    // a digit chooses the answer of that name, else the one at that place
    const by = answers.includes(event.key) ? answers.indexOf(event.key) : /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
    if (by < 0 || by >= answers.length || event.ctrlKey || event.altKey || !editor.mayDraw) return;
    event.preventDefault();
    answered(editor, name, answers[by]);
    inputs[by].input.focus();
  });
  live(editor, () => {
    const now = editor.marks.state.answers[name];
    for (const { answer, input, label } of inputs) {
      input.checked = answer === now;
      input.disabled = !editor.mayDraw;
      label.classList.toggle("chosen", answer === now);
    }
    clear.hidden = now === undefined || !editor.mayDraw;
  });
  return element;
}

export function answered(editor, name, answer) {
  editor.marks.change(({ answers }) => {
    const { [name]: _, ...rest } = answers;
    return { answers: answer === null ? rest : { ...rest, [name]: answer } };
  });
}

/** Focus a question's chosen answer, or its first. */
export function focusQuestion(root, name) {
  const inputs = [...root.querySelectorAll(`[data-question="${CSS.escape(name)}"] input`)];
  (inputs.find((input) => input.checked) ?? inputs[0])?.focus();
}

/** "Cannot be graded", and why. */
export function ungradable(editor) {
  const reasons = editor.protocol.ungradable.map((reason) => {
    const input = h("input", { type: "checkbox", on: { change: () => keep() } });
    return { reason, input, label: h("label", { class: "tick" }, input, reason) };
  });
  const text = h("input", { type: "text", placeholder: "Other reason (optional)", "aria-label": "Other reason", maxlength: 4000, on: { change: () => keep() } });
  const whole = h("input", { type: "checkbox", class: "ungradable", on: { change: () => editor.marks.change(() => ({ ungradable: whole.checked ? { reasons: [], text: "" } : null })) } });
  const keep = () => editor.marks.change(() => ({
    ungradable: { reasons: reasons.filter((one) => one.input.checked).map((one) => one.reason), text: text.value },
  }));
  const why = h("div", { class: "why" }, reasons.map((one) => one.label), text);
  live(editor, () => {
    const { ungradable: now } = editor.marks.state;
    whole.checked = now !== null;
    whole.disabled = text.disabled = !editor.mayDraw;
    why.hidden = now === null;
    for (const { reason, input } of reasons) {
      input.checked = now?.reasons.includes(reason) ?? false;
      input.disabled = !editor.mayDraw;
    }
    if (document.activeElement !== text) text.value = now?.text ?? "";
  });
  return h("section", { class: "cannot" }, h("label", { class: "tick strong" }, whole, "Ungradable", kbd("u")), why);
}

/** Comments, with or without a place in the image. */
export function comments(editor) {
  const list = h("ul", {});
  const element = h("details", { class: "comments", open: editor.marks.state.comments.length > 0 }, h("summary", {}, "Comments"), list);
  const text = h("textarea", { rows: 2, maxlength: 4000, placeholder: "Comment", "aria-label": "New comment" });
  let at = null;
  const where = h("span", { class: "note" });
  const add = () => {
    const words = text.value.trim();
    if (!words) return;
    const one = { text: words, at };
    [text.value, at] = ["", null];
    where.textContent = "";
    editor.marks.change(({ comments: now }) => ({ comments: [...now, one] }));
  };
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) add();
  });
  editor.addEventListener("pin", ({ detail }) => {
    at = detail;
    where.textContent = `at row ${Math.round(at[0])}, column ${Math.round(at[1])}`;
    element.open = true;
    text.focus();
    editor.view.repaint();
  });
  editor.extra.push((context, view) => {
    editor.marks.state.comments.forEach((comment, k) => comment.at && flag(context, view.toScreen(comment.at), k + 1));
    if (at) flag(context, view.toScreen(at), editor.marks.state.comments.length + 1);
  });
  const form = h("div", { class: "new" }, text, h("div", { class: "row" }, where, h("button", { type: "button", on: { click: add } }, "Add comment")));
  element.append(form);
  live(editor, () => {
    const now = editor.marks.state.comments;
    form.hidden = !editor.mayDraw;
    put(list, now.map((comment, k) => h("li", {},
      h("button", { type: "button", class: "quiet number", disabled: !comment.at, title: "Go there", on: { click: () => editor.view.centre(comment.at) } }, String(k + 1)),
      h("span", { class: "text" }, comment.text),
      editor.mayDraw && h("button", { type: "button", class: "quiet", "aria-label": `Remove comment ${k + 1}`,
        on: { click: () => editor.marks.change(({ comments: all }) => ({ comments: all.filter((_, n) => n !== k) })) } }, "✕"))));
  });
  return element;
}

function flag(context, [x, y], number) {
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  context.fillStyle = "#ffd75e";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#20262d";
  context.stroke();
  context.font = "700 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillStyle = "#20262d";
  context.fillText(String(number), x, y + 4);
}
