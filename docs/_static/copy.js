/* A button on every code block that copies it, without prompts and, in a session with prompts, without output. */
"use strict";

const PROMPT = /^(?:\$|>>>|\.\.\.) ?/;

function copied(text) {
  const lines = text.replace(/\n+$/, "").split("\n");
  const typed = lines.filter((line) => PROMPT.test(line));
  return typed.length && PROMPT.test(lines[0]) ? typed.map((line) => line.replace(PROMPT, "")).join("\n") : lines.join("\n");
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.body.appendChild(document.createElement("textarea")); // Pages without https have no clipboard.
  area.value = text;
  area.select();
  document.execCommand("copy");
  area.remove();
}

document.addEventListener("DOMContentLoaded", () => {
  for (const pre of document.querySelectorAll("article .highlight > pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await write(copied(pre.textContent));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    pre.parentElement.append(button);
  }
});
