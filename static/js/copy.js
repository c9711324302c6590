// <button data-copy="text" data-copied="Copied" data-blocked="Copying was blocked …" data-copy-field="id">
// Copies the text, says so on the button for two seconds and once to screen readers; where the browser refuses, selects
// the field so that the keys work. data-shown on a field is the shorter text it displays once there is a script.

for (const field of document.querySelectorAll("input[data-shown]")) {
  field.dataset.full = field.value;
  field.value = field.dataset.shown;
  // Whoever copies by keyboard gets the whole link too.
  field.addEventListener("copy", (event) => {
    event.clipboardData.setData("text/plain", field.dataset.full);
    event.preventDefault();
  });
}

document.addEventListener("focusin", (event) => {
  if (event.target.matches("input[readonly], textarea[readonly]")) event.target.select();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const label = button.querySelector("[data-label]") ?? button;
  button.dataset.was ??= label.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("is-done");
    button.dispatchEvent(new Event("copied", { bubbles: true }));
    say(button, button.dataset.copied);
    label.textContent = button.dataset.copiedShort ?? button.dataset.copied;
    clearTimeout(button.timer);
    button.timer = setTimeout(() => {
      label.textContent = button.dataset.was;
      button.classList.remove("is-done");
    }, 2000);
  } catch {
    const field = document.getElementById(button.dataset.copyField);
    field?.focus();
    field?.select();
    say(button, button.dataset.blocked);
  }
});

// The sentence stands in the status line beside the field, which screen readers follow.
function say(button, sentence) {
  const line = button.closest("[data-copy-group]")?.querySelector("[role=status]");
  if (line) line.textContent = sentence ?? "";
}
